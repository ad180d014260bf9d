"""What schemathesis leaves out: requests that never reach a function of ours."""

import schemathesis


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """The local gateway's path patterns stop at a line feed: it answers 404 by itself, which AWS does not."""
    values = [value for value in (path_parameters or {}).values() if isinstance(value, str)]
    return not any("\n" in value or "%0a" in value.lower() for value in values)


@schemathesis.hook
def filter_case(context, case):
    """The same, for requests that are not drawn at random."""
    return filter_path_parameters(context, case.path_parameters)
