"""Kind ``train_tabular``: a network that predicts one column of a table from the others, trained and registered."""
