"""jsonschema, the Python library: `python schemas.py FILE` says what is wrong with each of the schemas in a JSON array."""

import json
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError


def problem(schema):
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return error.message


with open(sys.argv[1]) as file:
    print(json.dumps([problem(schema) for schema in json.load(file)]))
