"""The schema of `spec` in workload bodies, one for each typed family."""

from __future__ import annotations

from functools import cache

from runai_emulator._constants import K8S_NAME, QUANTITY
from runai_emulator.schema import (
    Schema,
    choice,
    flag,
    items,
    named,
    real,
    text,
    thing,
    whole,
)

from .kinds import KINDS

_NAME = text(K8S_NAME, 1)
_QTY = text(QUANTITY)
_LINE = text(low=1)
_MODE = text(r"^0[0-7]{3}$", 4, 4)


def _pairs() -> Schema:
    return items(thing(name=text(low=1, high=63), value=text(), exclude=flag()))


def _storage() -> Schema:
    modes = thing(readWriteOnce=flag(), readOnlyMany=flag(), readWriteMany=flag())
    claim = thing(
        size=_QTY,
        storageClass=_NAME,
        accessModes=modes,
        volumeMode=choice("Filesystem", "Block"),
        addedAttrValues=items(thing(("key",), key=text(low=1, high=63), value=text())),
    )
    volume = {"name": _LINE, "exclude": flag()}
    return thing(
        configMapVolume=items(
            thing(**volume, configMap=_NAME, mountPath=_LINE, subPath=_LINE, defaultMode=_MODE)
        ),
        dataVolume=items(thing(id=text(), mountPath=text(), exclude=flag())),
        emptyDirVolume=items(thing(**volume, path=_LINE, medium=_LINE, sizeLimit=_QTY)),
        git=items(
            thing(
                **volume,
                repository=_LINE,
                branch=_LINE,
                revision=_LINE,
                path=_LINE,
                passwordSecret=_LINE,
                secretKeyOfUser=_LINE,
                secretKeyOfPassword=_LINE,
                secretRef=thing(
                    name=_LINE,
                    authenticationMethod=choice("password", "ssh-key"),
                    secretKeyOfUser=_LINE,
                    secretKeyOfPassword=_LINE,
                ),
            )
        ),
        hostPath=items(
            thing(
                **volume,
                path=_LINE,
                readOnly=flag(),
                mountPath=_LINE,
                mountPropagation=choice("None", "HostToContainer"),
            )
        ),
        nfs=items(thing(**volume, path=_LINE, readOnly=flag(), server=_LINE, mountPath=_LINE)),
        pvc=items(
            thing(
                **volume,
                path=_LINE,
                existingPvc=flag(),
                claimName=text(low=1, high=63),
                readOnly=flag(),
                ephemeral=flag(),
                claimInfo=claim,
                dataSharing=flag(),
            )
        ),
        s3=items(
            thing(
                **volume,
                bucket=_LINE,
                path=_LINE,
                url=_LINE,
                accessKeySecret=_NAME,
                secretKeyOfAccessKeyId=_LINE,
                secretKeyOfSecretKey=_LINE,
            )
        ),
        secretVolume=items(thing(**volume, mountPath=_LINE, defaultMode=_MODE, secret=_LINE)),
    )


@cache
def spec_schema(path: str) -> Schema:
    """The schema of `spec` for one typed family."""
    key_ref = thing(name=_NAME, key=_LINE)
    fields: dict[str, Schema] = {
        "annotations": _pairs(),
        "args": _LINE,
        "autoDeletionTimeAfterCompletionSeconds": whole(bits=64),
        "backoffLimit": whole(low=0, bits=64),
        "category": text(),
        "command": _LINE,
        "completions": whole(low=1),
        "compute": thing(
            cpuCoreLimit=real(0),
            cpuCoreRequest=real(0),
            cpuMemoryLimit=_QTY,
            cpuMemoryRequest=_QTY,
            extendedResources=items(thing(resource=_LINE, quantity=_QTY, exclude=flag())),
            gpuDevicesRequest=whole(low=0),
            gpuMemoryLimit=_QTY,
            gpuMemoryRequest=_QTY,
            gpuPortionLimit=real(0),
            gpuPortionRequest=real(0),
            gpuRequestType=choice("portion", "memory", "migProfile"),
            largeShmRequest=flag(),
        ),
        "createHomeDir": flag(),
        "environmentVariables": items(
            thing(
                name=_LINE,
                value=text(),
                secret=key_ref,
                configMap=key_ref,
                podFieldRef=thing(path=_LINE),
                userCredential=thing(name=_LINE, key=_LINE),
                exclude=flag(),
                description=text(),
            )
        ),
        "exposedUrls": items(
            thing(
                container=whole(),
                url=text(),
                authorizationType=choice(
                    "authenticatedUsers", "authorizedUsers", "authorizedGroups"
                ),
                authorizedUsers=items(text()),
                authorizedGroups=items(text()),
                toolType=text(),
                toolName=text(),
                name=_LINE,
                exclude=flag(),
            )
        ),
        "image": _LINE,
        "imagePullPolicy": choice("Always", "Never", "IfNotPresent"),
        "imagePullSecrets": items(
            thing(name=text(K8S_NAME), userCredential=flag(), exclude=flag())
        ),
        "labels": _pairs(),
        "nodeAffinityRequired": thing(nodeSelectorTerms=items(thing())),
        "nodePools": items(text()),
        "nodeType": _LINE,
        "parallelism": whole(low=1),
        "podAffinity": thing(type=choice("Required", "Preferred"), key=text()),
        "ports": items(
            thing(
                container=whole(1, 65535),
                serviceType=choice("LoadBalancer", "NodePort", "ClusterIP"),
                external=whole(1, 65535),
                toolType=text(),
                toolName=text(),
                name=_LINE,
                exclude=flag(),
            )
        ),
        "preemptibility": choice("preemptible", "non-preemptible"),
        "priorityClass": text(),
        "probes": thing(readiness=thing()),
        "relatedUrls": items(thing(url=text(), type=text(), name=text(), exclude=flag())),
        "restartPolicy": choice("Always", "Never", "OnFailure"),
        "security": thing(
            allowPrivilegeEscalation=flag(),
            capabilities=items(text()),
            hostIpc=flag(),
            hostNetwork=flag(),
            readOnlyRootFilesystem=flag(),
            runAsGid=whole(low=0, bits=64),
            runAsNonRoot=flag(),
            runAsUid=whole(low=0, bits=64),
            seccompProfileType=choice("RuntimeDefault", "Unconfined", "Localhost"),
            supplementalGroups=text(),
            uidGidSource=choice("fromTheImage", "fromIdpToken", "custom"),
        ),
        "stdin": flag(),
        "storage": _storage(),
        "terminateAfterPreemption": flag(),
        "terminationGracePeriodSeconds": whole(low=0, bits=64),
        "tolerations": items(
            thing(
                name=_LINE,
                operator=choice("Equal", "Exists"),
                key=text(),
                value=text(),
                effect=choice("NoSchedule", "NoExecute", "PreferNoSchedule", "Any"),
                seconds=whole(low=1),
                exclude=flag(),
            )
        ),
        "tty": flag(),
        "workingDir": _LINE,
    }
    if path != "trainings":
        del fields["completions"], fields["parallelism"]
    if path == "distributed":
        fields |= {
            "cleanPodPolicy": choice("None", "All", "Running"),
            "distributedFramework": choice("MPI", "PyTorch", "TF", "XGBoost", "JAX"),
            "maxReplicas": whole(low=1),
            "minReplicas": whole(low=1),
            "mpiLauncherCreationPolicy": choice("AtStartup", "WaitForWorkersReady"),
            "numWorkers": whole(low=1),
            "slotsPerWorker": whole(low=1),
            "sshAuthMountPath": text(),
        }
    if path == "inferences":
        for name in (
            "autoDeletionTimeAfterCompletionSeconds",
            "backoffLimit",
            "restartPolicy",
            "stdin",
            "tty",
            "terminateAfterPreemption",
            "terminationGracePeriodSeconds",
        ):
            del fields[name]
        fields |= _serving()
    return named(f"{KINDS[path].type}Spec", thing(**fields))


def _serving() -> dict[str, Schema]:
    return {
        "servingPort": thing(
            container=whole(1, 65535),
            protocol=choice("http", "grpc"),
            authorizationType=choice(
                "public",
                "authenticatedUsers",
                "authorizedUsers",
                "authorizedGroups",
                "authorizedUsersOrGroups",
            ),
            authorizedUsers=items(text()),
            authorizedGroups=items(text()),
            clusterLocalAccessOnly=flag(),
        ),
        "autoscaling": thing(
            metricThresholdPercentage=real(1, 100),
            minReplicas=whole(low=0),
            maxReplicas=whole(low=1),
            initialReplicas=whole(low=0),
            activationReplicas=whole(low=1),
            concurrencyHardLimit=whole(low=0),
            scaleToZeroRetentionSeconds=whole(0, 3600),
            scaleDownDelaySeconds=whole(0, 3600),
            initializationTimeoutSeconds=whole(low=1),
            metric=text(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"),
            metricThreshold=whole(),
        ),
        "servingConfiguration": thing(
            initializationTimeoutSeconds=whole(low=1), requestTimeoutSeconds=whole(low=1)
        ),
    }
