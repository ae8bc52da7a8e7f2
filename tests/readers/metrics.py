"""Reads /metrics from stdin as Prometheus does, and prints it as JSON: the types of the families, and their samples."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

types, samples = {}, {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, family.name
    assert family.name not in types, family.name
    types[family.name] = family.type
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        key = f"{sample.name}{{{labels}}}" if labels else sample.name
        assert key not in samples, key
        samples[key] = sample.value
json.dump({"types": types, "samples": samples}, sys.stdout)
