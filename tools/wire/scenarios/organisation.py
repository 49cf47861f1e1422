"""Clusters, node pools, departments and projects. They are read only: a sandbox has its own."""

from __future__ import annotations

from tools.wire.scenario import CURRENT, LEGACY, World, scenario


@scenario("clusters/read")
def clusters(world: World) -> None:
    with world.connect() as client:
        listed = client.clusters.list()
        assert listed
        assert client.clusters.list(verbosity="metadata")[0].id == listed[0].id
        assert client.clusters.get(listed[0].id).name == listed[0].name
        found = client.clusters.find(listed[0].name)
        assert found is not None
        assert found.id == listed[0].id


@scenario("node_pools/read")
def node_pools(world: World) -> None:
    with world.connect() as client:
        project = client.projects.find(world.project)
        assert project is not None
        listed = client.node_pools.list(cluster_id=project.cluster_id)
        assert listed
        assert client.node_pools.get(listed[0].id).name == listed[0].name
        found = client.node_pools.find(listed[0].name, project.cluster_id)
        assert found is not None
        assert found.id == listed[0].id


@scenario("departments/read")
def departments(world: World) -> None:
    with world.connect() as client:
        project = client.projects.find(world.project)
        assert project is not None
        assert project.parent_id is not None
        department = client.departments.get(project.parent_id)
        found = client.departments.find(department.name, project.cluster_id)
        assert found is not None
        assert found.id == department.id
        assert department.id in {
            unit.id for unit in client.departments.list(cluster_id=project.cluster_id)
        }


@scenario("projects/read", CURRENT, LEGACY)
def projects(world: World) -> None:
    with world.connect() as client:
        project = client.projects.find(world.project)
        assert project is not None
        assert project.is_ready
        assert project.namespace
        assert client.projects.get(project.id).name == world.project
        searched = client.projects.list(search=world.project)
        assert project.id in {unit.id for unit in searched}
