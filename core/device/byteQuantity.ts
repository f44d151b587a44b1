/** Bytes as Kubernetes users write them: `50Mi`, `1.5G`, or a plain number. */
import { Effect, Schema, SchemaGetter, SchemaIssue } from "effect"
import { divideUp, nanosPerUnit, parseQuantity } from "../pod/resolve/quantity.ts"

const pattern = /^[0-9]+(?:\.[0-9]{1,9})?(?:k|M|G|T|Ki|Mi|Gi|Ti)?$/u
const expected = "bytes such as 50Mi or 1G"

/** A quantity that decodes to whole bytes. */
export const byteQuantity = (annotations: { readonly description: string }) =>
  Schema.Union([
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    Schema.String.check(Schema.isPattern(pattern, { expected }), Schema.isMaxLength(32))
  ]).annotate(annotations).pipe(
    Schema.decodeTo(Schema.Number, {
      decode: SchemaGetter.transformEffect((quantity: number | string) => {
        const nanos = parseQuantity(quantity)
        const bytes = nanos === undefined ? Number.NaN : Number(divideUp(nanos, nanosPerUnit))
        return Number.isSafeInteger(bytes)
          ? Effect.succeed(bytes)
          : Effect.fail(new SchemaIssue.InvalidValue({ message: `Expected ${expected}` }))
      }),
      encode: SchemaGetter.transform((bytes: number): number | string => bytes)
    })
  )
