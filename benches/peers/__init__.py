"""tidemill beside its peers: the same jobs on the same data, in turn.

The way of a run, one module a concept:

    jobs       what is to be done, on which columns, with what output
    data       the input files, made by `tidemill generate`
    engines/   who does it, one file an engine
    worker     the process in which a Python engine works
    process    one process measured: wall time, CPU time, memory, time limit
    agreement  all engines' outputs on a small file, compared
    rounds     all engines in turn, A B C A B C
    figures    medians, ratios, peaks
    machine    where it was measured
    record     figures as JSON and as a table, and into the README
    chart      figures as a picture

`cargo xtask peers` sets up the environment and starts `python -m peers`. Only the engines and `agreement`
need anything but the standard library.
"""
