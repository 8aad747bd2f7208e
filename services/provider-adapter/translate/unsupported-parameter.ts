import type { ConnectError } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ProviderCall } from "../provider.ts";

/** What a request translator needs to know of a call beside the body. */
export type TranslationSettings = Pick<
  ProviderCall,
  "model" | "stream" | "defaultParams" | "outputTokenCap" | "dropParams" | "allowedParams" | "hints"
>;

/** The refusal of a parameter that the target dialect has no word for. `param` is spelled as the client spelled it. */
export function unsupportedParameter(param: string, detail: string): ConnectError {
  return gatewayError(
    Reason.INVALID_REQUEST,
    `${detail} Set drop_params to have the parameter left out instead of refused.`,
    { param },
  );
}

/** Refuses a parameter, or returns for it to be left out where the caller allowed that or it is a mere hint. */
export function refuseOrDrop(settings: TranslationSettings, param: string, detail: string): void {
  if (!settings.dropParams && settings.hints?.includes(param) !== true) throw unsupportedParameter(param, detail);
}
