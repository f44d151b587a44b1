import { cryptographyContract } from "../contracts/cryptography.ts"
import { QuickCryptography } from "./QuickCryptography.ts"

cryptographyContract("QuickCryptography", QuickCryptography.layer)
