"""The public contracts of routers, datasets and importers."""

from llmrouterbench.checks.contract import ContractError as ContractError
from llmrouterbench.checks.dataset import check_dataset as check_dataset
from llmrouterbench.checks.importer import check_importer as check_importer
from llmrouterbench.checks.router import check_router as check_router
