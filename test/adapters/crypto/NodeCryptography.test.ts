import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { cryptographyContract } from "../../contracts/cryptography.ts"
import { secureRandomContract } from "../../contracts/secureRandom.ts"

secureRandomContract("NodeCryptography", NodeCryptography.layer)
cryptographyContract("NodeCryptography", NodeCryptography.layer)
