"""How tidemill scales: with rows, threads, sensors, windows, quotes, odd rows; and what memory it takes.

    cases      what is run, and the questions that compare two of them
    inputs     the files, made by `tidemill generate` or out of one of those
    report     answers as a table, and into the README

`cargo xtask scaling` starts `python -m scaling`. Standard library only.
"""
