// SPDX-License-Identifier: BSD-3-Clause
//
// See shaper.h.
#include "drivers/model/neta/shaper.h"

#include <algorithm>

namespace crema::neta::model {

void Shaper::fill(unsigned index, std::uint32_t refill_at, std::int64_t now) {
    Bucket& bucket = buckets_[index];
    const std::uint32_t rate = chip_.reg(refill_at);
    bucket.tokens_at = index == kPort ? kTxpTokens : txq_tokens(index);
    bucket.size_at = index == kPort ? kTxpTokenSize : txq_token_size(index);
    bucket.refill = kRefillTokens.get(rate);
    if (bucket.refill == 0) {
        bucket.period_ns = bucket.filled_ns = 0;
        return;
    }
    const std::uint64_t cycles =
        std::uint64_t{kTxRefillClocksCycles.get(chip_.reg(kTxRefillClocks))} *
        std::max(kRefillPeriod.get(rate), 1U);
    bucket.period_ns = std::max<std::int64_t>(chip_.ns_of(cycles), 1);
    if (bucket.filled_ns == 0) {
        bucket.filled_ns = now;
    }
    const std::int64_t periods = (now - bucket.filled_ns) / bucket.period_ns;
    bucket.filled_ns += periods * bucket.period_ns;
    const std::uint64_t filled =
        chip_.reg(bucket.tokens_at) + static_cast<std::uint64_t>(periods) * bucket.refill;
    chip_.set_reg(bucket.tokens_at, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                        filled, chip_.reg(bucket.size_at))));
}

bool Shaper::refresh() {
    const bool on = (chip_.reg(kTxCmd1) & kTxCmd1NoShaping) == 0 &&
                    kTxRefillClocksCycles.get(chip_.reg(kTxRefillClocks)) >= kTxRefillClocksMin;
    if (!on) [[likely]] {
        return false;
    }
    const std::int64_t now = now_ns();
    frame_bits_ = std::max(chip_.reg(kTxMtu) & kTxMtuMax, 1U);
    bool shaped = false;
    for (unsigned index = 0; index <= kPort; ++index) {
        fill(index, index == kPort ? kTxpRefill : txq_refill(index), now);
        shaped = shaped || buckets_[index].period_ns != 0;
    }
    return shaped;
}

bool Shaper::covers(const Bucket& bucket) const {
    return bucket.period_ns == 0 || chip_.reg(bucket.tokens_at) >= frame_bits_;
}

bool Shaper::allows(unsigned queue) const {
    return covers(buckets_[queue]) && covers(buckets_[kPort]);
}

void Shaper::pay(const Bucket& bucket, std::uint32_t bits) {
    if (bucket.period_ns != 0) {
        const std::uint32_t tokens = chip_.reg(bucket.tokens_at);
        chip_.set_reg(bucket.tokens_at, tokens - std::min(tokens, bits));
    }
}

void Shaper::spend(unsigned queue, std::uint32_t bytes) {
    pay(buckets_[queue], 8 * bytes);
    pay(buckets_[kPort], 8 * bytes);
}

std::int64_t Shaper::covered_ns(const Bucket& bucket) const {
    if (covers(bucket)) {
        return 0;
    }
    const std::uint32_t missing = frame_bits_ - chip_.reg(bucket.tokens_at);
    return bucket.filled_ns + (missing + bucket.refill - 1) / bucket.refill * bucket.period_ns;
}

std::int64_t Shaper::next_ns(unsigned queue) const {
    return std::max(covered_ns(buckets_[queue]), covered_ns(buckets_[kPort]));
}

}  // namespace crema::neta::model
