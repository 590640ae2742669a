"""Which tasks are independent? Tasks that test on the same images are not: what is particular to those images is in all of them.

entity13, entity30, living17 and nonliving26 test on the same ImageNet images under other labels; a test over tasks that counted
each of them would take one observation for four. A group is all tasks that share a set of test images, or a name in the config
(`group`), directly or through other tasks, and it counts once, by the mean of its tasks.
"""


def groups(specs: dict) -> dict[str, str]:
    """{task: the first task of its group}. specs: {task: its entry in the config}, of few_shot.tasks or anomaly.sets."""
    merged: list[tuple[list, set]] = []  # (tasks, what they share)
    for task, spec in specs.items():
        tasks, shared = [task], _tested(spec)
        joined = [group for group in merged if group[1] & shared]  # a task may connect several
        merged = [group for group in merged if group not in joined]
        tasks, shared = [*(t for g in joined for t in g[0]), *tasks], shared.union(*(g[1] for g in joined))
        merged.append((tasks, shared))
    first = {task: tasks[0] for tasks, _ in merged for task in tasks}
    return {task: first[task] for task in specs}


def _tested(spec: dict) -> set:
    """The names of the image sets that a task tests on, and of the group that the config puts it in."""
    own = spec.get("test") or spec.get("pool") or spec.get("train") or spec["images"]
    sets = {("set", part["set"]) for part in (own, spec.get("against")) if part}
    return sets | ({("group", spec["group"])} if "group" in spec else set())
