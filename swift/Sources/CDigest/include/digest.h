// SHA-256 (FIPS 180-4), where there is no CryptoKit. In C, because a bundle has hundreds of megabytes
// and Swift without optimisation takes minutes for them.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[8];
  uint8_t rest[64];
  uint64_t length;
} digest_sha256;

void digest_begin(digest_sha256 *digest);
void digest_add(digest_sha256 *digest, const uint8_t *bytes, size_t count);
void digest_end(digest_sha256 *digest, uint8_t out[32]);
