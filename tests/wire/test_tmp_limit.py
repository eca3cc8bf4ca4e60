from __future__ import annotations
import pytest
from tests.wire.test_wire_faults import *
from tests.wire.test_wire_faults import test_what_goes_wrong_once_is_made_up_for as t1
import tests.wire.test_wire_faults_lasting as L

@pytest.fixture(params=[1,2])
def bench(request, tmp_path, monkeypatch):
    with benching(tmp_path, monkeypatch, s3_request_concurrency={"limit": request.param}) as ready:
        yield ready
test_lasting = L.test_what_does_not_pass_is_an_error_of_its_class
test_refusal = L.test_a_refusal_is_never_taken_for_a_missing_object
