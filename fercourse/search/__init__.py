"""A search for hyperparameters with Optuna: kept in SQLite, stopped and gone on with at any moment.

`space` says what is searched, `study` keeps it in a file, `run` trains one trial after the other, `luck` says
how much of the best result is luck, `report` shows it and `records` keeps it. Optuna, which the package's
extra ``chapters`` brings, is imported where a study is opened, and records are read without it.
"""
