"""Where pass 1 is computed, and how its score files come together.

In this process (`serial`), in processes of this machine (`local`), on a Ray cluster (`ray`), or in jobs that know
nothing of each other (`rank`), whose score files are gathered afterwards (`merge`).

`base` is the contract, `task` what a worker is told, `run` what an audit calls.
"""
