"""The supervisor: one small process for each job, which outlives the service and runs the job's steps.

It runs as `python -I -S` with nothing but this folder and the quickest parts of the standard library, because its start
is part of every job's time. So these modules import each other relatively, and neither `json`, `signal`, `subprocess`
nor `pathlib`: each of these costs more than the whole supervisor.
"""
