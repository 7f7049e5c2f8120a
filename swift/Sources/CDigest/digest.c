#include "digest.h"

#include <string.h>

// The first 32 bits behind the point of the cube roots of the first 64 primes.
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define TURN(word, count) ((word) >> (count) | (word) << (32 - (count)))

static void absorb(uint32_t state[8], const uint8_t block[64]) {
  uint32_t words[64];
  for (int i = 0; i < 16; ++i) {
    const uint8_t *b = block + 4 * i;
    words[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  }
  for (int i = 16; i < 64; ++i) {
    uint32_t low = words[i - 15], high = words[i - 2];
    low = TURN(low, 7) ^ TURN(low, 18) ^ low >> 3;
    high = TURN(high, 17) ^ TURN(high, 19) ^ high >> 10;
    words[i] = words[i - 16] + low + words[i - 7] + high;
  }
  uint32_t s[8];
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; ++i) {
    uint32_t first = s[7] + (TURN(s[4], 6) ^ TURN(s[4], 11) ^ TURN(s[4], 25)) +
                     ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + words[i];
    uint32_t second = (TURN(s[0], 2) ^ TURN(s[0], 13) ^ TURN(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += first;
    s[0] = first + second;
  }
  for (int i = 0; i < 8; ++i) state[i] += s[i];
}

void digest_begin(digest_sha256 *digest) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(digest->state, start, sizeof start);
  digest->length = 0;
}

void digest_add(digest_sha256 *digest, const uint8_t *bytes, size_t count) {
  size_t held = digest->length % 64;
  digest->length += count;
  while (held + count >= 64) {
    size_t taken = 64 - held;
    memcpy(digest->rest + held, bytes, taken);
    absorb(digest->state, digest->rest);
    bytes += taken;
    count -= taken;
    held = 0;
  }
  memcpy(digest->rest + held, bytes, count);
}

void digest_end(digest_sha256 *digest, uint8_t out[32]) {
  uint64_t bits = digest->length * 8;
  uint8_t tail[72] = {0x80};
  size_t count = 1;
  while ((digest->length + count) % 64 != 56) ++count;
  for (int i = 0; i < 8; ++i) tail[count + i] = (uint8_t)(bits >> (56 - 8 * i));
  digest_add(digest, tail, count + 8);
  for (int i = 0; i < 32; ++i) out[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
}
