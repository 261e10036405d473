"""Kind ``match_template``: the places in a picture that look like a smaller one."""
