// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/chain.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/base/check.h"

namespace crema::xdp {
namespace {

using ebpf::syscall::ChainedProgram;

struct Candidate {
    ChainedProgram* one;
    bool is_new;
};

/// Negative: a runs first.
int compare(const Candidate& a, const Candidate& b) {
    const ebpf::LoadedProgram& first = *a.one->program;
    const ebpf::LoadedProgram& second = *b.one->program;
    const auto by = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
    if (const int order = by(a.one->config.priority, b.one->config.priority); order != 0) {
        return order;
    }
    const int names = ebpf::full_name_of(first.program).compare(ebpf::full_name_of(second.program));
    if (names != 0) {
        return names;
    }
    if (a.is_new != b.is_new) {
        return a.is_new ? 1 : -1;
    }
    if (a.is_new) {
        return by(first.program.insns.size(), second.program.insns.size());
    }
    const int tags = std::memcmp(first.tag.data(), second.tag.data(), first.tag.size());
    return tags != 0 ? tags : by(first.load_time_ns, second.load_time_ns);
}

}  // namespace

Chain::Chain(const std::vector<ChainedProgram>& programs)
    : n(static_cast<std::uint32_t>(programs.size())),
      takes_fragments(std::ranges::all_of(
          programs, [](const ChainedProgram& each) { return each.program->program.has_frags; })) {
    CREMA_CHECK(n != 0 && n <= kChainMax);
    for (std::uint32_t i = 0; i < n; ++i) {
        const ebpf::LoadedProgram& program = *programs[i].program;
        links[i] = {
            .program = &program, .id = program.id, .actions = programs[i].config.actions | kGoesOn};
    }
}

void sort_chain(std::vector<ChainedProgram>& programs, std::size_t present) {
    std::vector<Candidate> order;
    order.reserve(programs.size());
    for (std::size_t i = 0; i < programs.size(); ++i) {
        order.push_back({.one = &programs[i], .is_new = i >= present});
    }
    std::ranges::stable_sort(
        order, [](const Candidate& a, const Candidate& b) { return compare(a, b) < 0; });
    std::vector<ChainedProgram> sorted;
    sorted.reserve(programs.size());
    for (const Candidate& each : order) {
        sorted.push_back(std::move(*each.one));
    }
    programs = std::move(sorted);
}

}  // namespace crema::xdp
