import type { Client } from "@connectrpc/connect";
import { type Implementation, implement } from "#chassis/service.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { ConfigService } from "#gen/sluice/router/v1/config_service_pb.ts";
import { CredentialService } from "#gen/sluice/router/v1/credential_service_pb.ts";
import { ModelAccessGroupService } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import { ModelHealthService } from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../models/admin-context.ts";
import type { RouterCore } from "../routing/model-call.ts";
import { createCreateModelAccessGroup } from "./access-group/create-model-access-group.ts";
import { createDeleteModelAccessGroup } from "./access-group/delete-model-access-group.ts";
import { createGetModelAccessGroup } from "./access-group/get-model-access-group.ts";
import { createListModelAccessGroups } from "./access-group/list-model-access-groups.ts";
import { createUpdateModelAccessGroup } from "./access-group/update-model-access-group.ts";
import { createCountTokens } from "./count-tokens.ts";
import { createCreateCredential } from "./credential/create-credential.ts";
import { createDeleteCredential } from "./credential/delete-credential.ts";
import { createGetCredential } from "./credential/get-credential.ts";
import { createGetModelCredential } from "./credential/get-model-credential.ts";
import { createListCredentials } from "./credential/list-credentials.ts";
import { createUpdateCredential } from "./credential/update-credential.ts";
import { createGetModel } from "./get-model.ts";
import { createCheckModelHealth } from "./health/check-model-health.ts";
import { createGetLatestModelHealth } from "./health/get-latest-model-health.ts";
import { createListModelHealth } from "./health/list-model-health.ts";
import { createTestModelConnection } from "./health/test-model-connection.ts";
import { createInfer } from "./infer.ts";
import { createListModels } from "./list-models.ts";
import { createListSupportedParams } from "./list-supported-params.ts";
import { createBlockModel, createUnblockModel } from "./model/block-model.ts";
import { createCreateModel } from "./model/create-model.ts";
import { createDeleteModel } from "./model/delete-model.ts";
import { createListModelGroups } from "./model/list-model-groups.ts";
import { createListModelInfo } from "./model/list-model-info.ts";
import { createPageModelInfo } from "./model/page-model-info.ts";
import { createPatchModel } from "./model/patch-model.ts";
import { createUpdateModel } from "./model/update-model.ts";
import { createPreview } from "./preview.ts";
import { createReloadConfig } from "./reload-config.ts";

export function createRoutes(
  core: RouterCore,
  admin: AdminContext,
  adapter: Client<typeof RequestService>,
): readonly Implementation[] {
  return [
    implement(InferenceService, { infer: createInfer(core) }),
    implement(ModelService, modelRoutes(admin)),
    implement(RequestService, {
      preview: createPreview(core, adapter),
      countTokens: createCountTokens(core, adapter),
      listSupportedParams: createListSupportedParams(core, adapter),
    }),
    implement(CredentialService, {
      createCredential: createCreateCredential(admin),
      listCredentials: createListCredentials(admin),
      getCredential: createGetCredential(admin),
      getModelCredential: createGetModelCredential(admin),
      updateCredential: createUpdateCredential(admin),
      deleteCredential: createDeleteCredential(admin),
    }),
    implement(ModelAccessGroupService, {
      createModelAccessGroup: createCreateModelAccessGroup(admin),
      listModelAccessGroups: createListModelAccessGroups(admin),
      getModelAccessGroup: createGetModelAccessGroup(admin),
      updateModelAccessGroup: createUpdateModelAccessGroup(admin),
      deleteModelAccessGroup: createDeleteModelAccessGroup(admin),
    }),
    implement(ModelHealthService, {
      checkModelHealth: createCheckModelHealth(admin),
      getLatestModelHealth: createGetLatestModelHealth(admin),
      listModelHealth: createListModelHealth(admin),
      testModelConnection: createTestModelConnection(admin),
    }),
    implement(ConfigService, { reloadConfig: createReloadConfig(admin) }),
  ];
}

function modelRoutes(admin: AdminContext) {
  return {
    listModels: createListModels(admin.live),
    getModel: createGetModel(admin.live),
    createModel: createCreateModel(admin),
    updateModel: createUpdateModel(admin),
    patchModel: createPatchModel(admin),
    deleteModel: createDeleteModel(admin),
    blockModel: createBlockModel(admin),
    unblockModel: createUnblockModel(admin),
    listModelInfo: createListModelInfo(admin),
    pageModelInfo: createPageModelInfo(admin),
    listModelGroups: createListModelGroups(admin),
  };
}
