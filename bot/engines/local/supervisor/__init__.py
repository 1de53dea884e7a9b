"""The supervisor: one small process for each job, which outlives the service and runs the job's steps.

It is a fork of a process that runs as `python -I -S`, see `forkserver`, and has the memory of that one: nothing but
this folder and the smallest parts of the standard library. So these modules import each other relatively, and neither
`json`, `signal`, `subprocess` nor `pathlib`. The proxy of a job is a program, and pays for its imports itself.
"""
