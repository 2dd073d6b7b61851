"""What a live run takes: how many records a second, how late they are, how much memory.

    throughput  as fast as it is taken, through a pipe and over TCP, beside Bytewax and plain Python
    latency     an open loop at a fixed rate
    memory      full load for long, then a sink that blocks
    crowd       ten thousand silent connections; a million new sensors in a minute
    fair        sixty connections, then twenty files, that always have more
    run         a tidemill with its pipeline, and what it says about itself
    load        the program in `benches/load`, which sends and reads
    report      what came out as tables, and into the README

`cargo xtask live` starts `python -m live`. The engines beside tidemill are in `engines/`; all else needs the
standard library only.
"""
