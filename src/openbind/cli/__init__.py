"""The command line: `openbind VERB`. One module a verb: parse, call, print."""
