// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/samples.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/program/btf.h"
#include "tests/fuzz/dice.h"

namespace crema::test::fuzz {
namespace {

Blob content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// As the loader hands it to bpf(2), offsets filled in; each once.
void add_btf_of(const std::string& path, std::vector<Blob>& to) {
    const auto object = ebpf::loader::Object::judge(path);
    if (!object) {
        return;
    }
    for (const auto& judged : object->judged()) {
        const auto& btf = judged.program().btf;
        if (btf != nullptr && std::find(to.begin(), to.end(), btf->bytes()) == to.end()) {
            to.push_back(btf->bytes());
        }
    }
}

std::size_t place_in(std::size_t bytes, Dice& dice) {
    return static_cast<std::size_t>(dice.below(static_cast<int>(bytes)));
}

/// Some word of the blob, at its alignment.
void change_word(Blob& blob, Dice& dice) {
    if (blob.size() < sizeof(std::uint32_t)) {
        return;
    }
    const std::size_t at = place_in(blob.size() / 4, dice) * 4;
    std::uint32_t word = 0;
    std::memcpy(&word, blob.data() + at, sizeof word);
    switch (dice.below(3)) {
        case 0:
            word = static_cast<std::uint32_t>(dice.number());
            break;
        case 1:
            word += static_cast<std::uint32_t>(dice.between(-4, 4));
            break;
        default:
            word ^= 1U << dice.below(32);
            break;
    }
    std::memcpy(blob.data() + at, &word, sizeof word);
}

/// Copies a range of `from` to some place in `to`.
void graft(Blob& to, const Blob& from, Dice& dice) {
    if (to.empty() || from.empty()) {
        return;
    }
    const std::size_t source = place_in(from.size(), dice);
    const std::size_t target =
        dice.one_in(2) ? std::min(source, to.size() - 1) : place_in(to.size(), dice);
    const std::size_t bytes =
        std::min({1 + place_in(256, dice), from.size() - source, to.size() - target});
    std::memmove(to.data() + target, from.data() + source, bytes);
}

}  // namespace

Samples read_samples(const std::vector<std::string>& folders) {
    std::vector<std::string> files;
    for (const std::string& folder : folders) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
            if (entry.path().extension() == ".o") {
                files.push_back(entry.path());
            }
        }
    }
    std::sort(files.begin(), files.end());
    Samples samples;
    for (const std::string& file : files) {
        samples.objects.push_back(content_of(file));
        add_btf_of(file, samples.btf);
    }
    return samples;
}

void damage(Blob& blob, const Blob& other, std::uint64_t seed) {
    Dice dice(seed);
    for (int n = dice.between(1, 4); n > 0 && !blob.empty(); --n) {
        switch (dice.below(8)) {
            case 0:
                blob.resize(place_in(blob.size() + 1, dice));
                break;
            case 1:
            case 2:
                graft(blob, other, dice);
                break;
            case 3:
                blob[place_in(blob.size(), dice)] = static_cast<std::uint8_t>(dice.bits());
                break;
            default:
                change_word(blob, dice);
                break;
        }
    }
}

}  // namespace crema::test::fuzz
