"""The local engine: jobs run on this machine, each in a sandbox and under a supervisor process of its own.

How a job is taken over, and what a restart finds:

1. `start` makes the job's folder with the request in it, durably, and returns. From then on the job is known.
2. In the background the service fetches the commits into the mirror, merges them and lays out the workspace. It holds
   the lock of the job's stream meanwhile. The token that fetching may need is never stored, and neither are secrets:
   the supervisor gets them by the pipe on which it gets its word.
3. Meanwhile it starts the supervisor and hands it the locked stream, and when all is laid out it gives its word: there
   is no moment in which the job belongs to nobody, so it cannot be launched twice. The supervisor checks the code out
   inside the sandbox, runs the steps, and writes down what happens. It does not notice that the service stops, is
   killed, or starts again.

A job whose service died in (2) is gone on with by whoever calls `start` again with the same request, which is what a
scheduler does after a restart for each job that it handed over and has not seen finish. Reading its `events` goes on
with it too where no token and no secret is needed; else they wait for that `start`, and after a while say that nobody
came. A supervisor that vanished without a word leaves a stream that nobody locks: whoever reads `events` first
writes its end, once, for everybody.

| module | promise |
|---|---|
| `engine` | the contract |
| `disk`, `folder` | what is on disk; of a job: request, stream, lock, cancellation |
| `prepare`, `orphans` | from taken over to launched; what to do with a job that nobody works on |
| `mirrors`, `mirror`, `memory`, `git`, `merge` | the code: fetched exactly, merged here, by git that obeys us alone |
| `parts`, `submodules`, `pointers`, `lfs`, `lfs_client`, `extras` | what else is checked out: found, had, laid out |
| `launch`, `sandbox`, `seccomp`, `probe` | what a supervisor is told, and whether a sandbox can be made here |
| `stream`, `watch`, `results` | the events as they are written, and the files that come with them |
| `supervisor/` | the process that outlives the service |
"""
