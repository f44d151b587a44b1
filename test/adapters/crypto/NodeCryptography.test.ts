import { NodeCryptography } from "../../../adapters/crypto/NodeCryptography.ts"
import { secureRandomContract } from "../../contracts/secureRandom.ts"

secureRandomContract("NodeCryptography", NodeCryptography.layer)
