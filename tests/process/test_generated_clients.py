"""Clients that the usual generators make from the service's own document."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.npm import node_packages, run
from tests.process.service import Service

TYPESCRIPT = ("typescript@5.9.3", "openapi-typescript@7.13.0", "@hey-api/openapi-ts@0.85.2")
"""The last one is not the newest, because that needs a newer Node than Debian 12 has."""

DETAIL = "price state source traded_at confirmed_at age_ms trade_id".split()

PYTHON_CLIENT = """
import json, sys
from generated import Client
from generated.api.prices import get_prices

client = Client(base_url=sys.argv[1])
(price,) = get_prices.sync(client=client, pair="BTC/USD", detail=True).ltp
(plain,) = get_prices.sync(client=client, pair="BTC/USD").ltp
print(json.dumps({"detailed": price.to_dict(), "plain": plain.to_dict(), "types": [type(price).__name__, type(plain).__name__]}))
"""

PYDANTIC_MODELS = """
import json, sys
from generated import Prices

(price,) = Prices.model_validate_json(sys.argv[1]).ltp
(plain,) = Prices.model_validate_json(sys.argv[2]).ltp
both = {"detailed": price.model_dump(mode="json"), "plain": plain.model_dump(mode="json")}
print(json.dumps(both | {"types": [type(price).__name__, type(plain).__name__]}))
"""

TYPED_READER = """
export function read(item: Item): (string | number | null)[] {
  if (!("state" in item)) return [item.pair, item.amount];
  const state: "live" | "quiet" | "fallback" | "substitute" | "halted" | "stale" | "unknown" = item.state;
  const text: string = item.price;
  const age: number = item.age_ms;
  const trade: number | null = item.trade_id;
  const times: (string | null)[] = [item.traded_at, item.confirmed_at];
  // @ts-expect-error: so a field that is not there would be noticed
  item.nothing;
  return [state, text, age, trade, item.source, ...times];
}
export const asked: Query = { pair: "BTC/USD", detail: true, allow_stale: false };
"""


@pytest.fixture
def document(service: Service, tmp_path: Path) -> Path:
    """The document as the service gives it."""
    path = tmp_path / "openapi.json"
    path.write_bytes(service.get("/openapi.json").body)
    return path


@pytest.fixture(scope="module")
def node_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs, in a place of this file's own."""
    return node_packages(tmp_path_factory, TYPESCRIPT) / ".bin"


def python_program(name: str) -> Path:
    """A program of the environment that runs the tests."""
    return Path(sys.executable).with_name(name)


def assert_detail_is_kept(read: dict[str, Any]) -> None:
    assert read["types"] == ["DetailedPrice", "Price"]
    assert read["detailed"].keys() >= {"pair", "amount", *DETAIL}
    assert read["detailed"]["source"] == "kraken:websocket"
    assert float(read["detailed"]["price"]) == read["detailed"]["amount"]
    assert read["plain"].keys() == {"pair", "amount"}


def test_openapi_python_client_reads_the_detail(service: Service, document: Path, tmp_path: Path) -> None:
    where = f"--path={document}", f"--output-path={tmp_path}/generated"
    run(python_program("openapi-python-client"), "generate", *where, "--meta=none", folder=tmp_path)
    url = f"http://127.0.0.1:{service.port}"
    assert_detail_is_kept(json.loads(run(sys.executable, "-c", PYTHON_CLIENT, url, folder=tmp_path)))


def test_datamodel_codegen_reads_a_detailed_price(service: Service, document: Path, tmp_path: Path) -> None:
    where = f"--input={document}", f"--output={tmp_path}/generated.py"
    kinds = "--input-file-type=openapi", "--output-model-type=pydantic_v2.BaseModel"
    run(python_program("datamodel-codegen"), *where, *kinds, folder=tmp_path)
    answers = [service.get(f"/api/v1/ltp?pair=BTC/USD{more}").body.decode() for more in ("&detail=true", "")]
    assert_detail_is_kept(json.loads(run(sys.executable, "-c", PYDANTIC_MODELS, *answers, folder=tmp_path)))


def check_types(node_programs: Path, folder: Path, imports: str) -> None:
    """A program that reads every detail of a price is right by the generated types."""
    (folder / "reader.ts").write_text(imports + TYPED_READER)
    options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
    options += ["--moduleResolution", "bundler"]
    run(node_programs / "tsc", *options, "reader.ts", folder=folder)


def test_openapi_typescript_types_the_detail(node_programs: Path, document: Path, tmp_path: Path) -> None:
    run(node_programs / "openapi-typescript", document, "-o", tmp_path / "generated.ts", folder=tmp_path)
    check_types(
        node_programs,
        tmp_path,
        """
import type { components, operations } from "./generated";
type Item = components["schemas"]["Prices"]["ltp"][number];
type Query = operations["getPrices"]["parameters"]["query"];
""",
    )


def test_hey_api_types_a_detailed_price(node_programs: Path, document: Path, tmp_path: Path) -> None:
    run(node_programs / "openapi-ts", "-i", document, "-o", tmp_path / "generated", folder=tmp_path)
    check_types(
        node_programs,
        tmp_path,
        """
import { getPrices } from "./generated/sdk.gen";
import type { GetPricesData, Prices } from "./generated/types.gen";
type Item = Prices["ltp"][number];
type Query = GetPricesData["query"];
export const answer = getPrices({ query: { detail: true } });
""",
    )
