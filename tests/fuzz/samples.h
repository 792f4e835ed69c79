// SPDX-License-Identifier: BSD-3-Clause
//
// Object files that hostile calls and files start from: whole, and the BTF in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crema::test::fuzz {

using Blob = std::vector<std::uint8_t>;

struct Samples {
    std::vector<Blob> objects;
    std::vector<Blob> btf;
};

/// All .o files of the folders, in the order of their names.
[[nodiscard]] Samples read_samples(const std::vector<std::string>& folders);

/// Changes a few bytes, words or ranges, or cuts it, by `seed`. `other`: what ranges are taken
/// from.
void damage(Blob& blob, const Blob& other, std::uint64_t seed);

}  // namespace crema::test::fuzz
