"""`/v1/datasets`: what there is to train on."""

from apiflask import APIBlueprint

from services.gateway.parts import parts
from shared.schemas.datasets import DatasetList

blueprint = APIBlueprint("datasets", __name__)


@blueprint.get("/v1/datasets")
@blueprint.output(DatasetList)
@blueprint.doc(tags=["datasets"])
def list_datasets() -> DatasetList:
    """List the data sets

    Zips, folders and CSV files in the data folder, with counts per class and split. One that cannot be trained on has
    a `problem`.
    """
    return parts().datasets.all()
