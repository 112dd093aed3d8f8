"""The table of task kinds; other packages add theirs by an entry point `openbind.tasks`."""

from openbind.registry import Registry

TASKS = Registry(
    "task kind",
    "openbind.tasks",
    {
        "classification": "openbind.evaluation.tasks.classification:Classification",
        "text_retrieval": "openbind.evaluation.tasks.text_retrieval:TextRetrieval",
        "pair_retrieval": "openbind.evaluation.tasks.pair_retrieval:PairRetrieval",
        "drawing": "openbind.evaluation.tasks.drawing:Drawing",
        "linear_probe": "openbind.evaluation.tasks.linear_probe:LinearProbe",
    },
)
