// Carry-less multiplication, a processor's instruction that Swift has no name for.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

typedef long long s3m_lane __attribute__((vector_size(16)));

// Intel, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction": a block of 128 bits may be multiplied
// on to the place 512 bits later without changing the CRC of the whole. The factors are x^(512+32) and x^(512-32) modulo
// the polynomial of CRC-32, bits reversed as the CRC has them, and shifted by one, which a reversed product needs.
#define S3M_FACTOR_FIRST 0x154442bd4
#define S3M_FACTOR_SECOND 0x1c6e41596

static inline int s3m_can_fold(void) { return __builtin_cpu_supports("pclmul"); }

__attribute__((target("pclmul"))) static inline s3m_lane s3m_moved(s3m_lane lane, s3m_lane factors) {
  return __builtin_ia32_pclmulqdq128(lane, factors, 0x00) ^ __builtin_ia32_pclmulqdq128(lane, factors, 0x11);
}

// Folds whole blocks of 64 bytes, at least one, into `block`: 64 bytes whose CRC, begun with no bits set, is that of them all.
// `start` are the 32 bits that the CRC of what came before put into the first bytes.
__attribute__((target("pclmul"))) static inline void s3m_fold(
    uint32_t start, const uint8_t *bytes, size_t blocks, uint8_t *block) {
  const s3m_lane factors = {S3M_FACTOR_FIRST, S3M_FACTOR_SECOND};
  s3m_lane folded[4], next[4];
  memcpy(folded, bytes, 64);
  folded[0] ^= (s3m_lane){start, 0};
  for (size_t at = 1; at < blocks; at++) {
    memcpy(next, bytes + 64 * at, 64);
    folded[0] = s3m_moved(folded[0], factors) ^ next[0];
    folded[1] = s3m_moved(folded[1], factors) ^ next[1];
    folded[2] = s3m_moved(folded[2], factors) ^ next[2];
    folded[3] = s3m_moved(folded[3], factors) ^ next[3];
  }
  memcpy(block, folded, 64);
}

#else

static inline int s3m_can_fold(void) { return 0; }
static inline void s3m_fold(uint32_t start, const uint8_t *bytes, size_t blocks, uint8_t *block) {
  (void)start, (void)bytes, (void)blocks, (void)block;
}

#endif
