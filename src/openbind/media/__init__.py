"""Files and bytes → arrays with rates and times."""
