// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/programs/runner.h"

#include <algorithm>
#include <cerrno>
#include <sched.h>

namespace crema::bench {
namespace {

[[gnu::noinline]] std::uint64_t repeat_runs(ebpf::EntryPoint entry,
                                            const void* self,
                                            ebpf::XdpBuff& buff,
                                            std::uint32_t repeat) {
    std::uint64_t result = 0;
    for (std::uint32_t i = 0; i < repeat; ++i) {
        buff.redirect.kind = ebpf::RedirectTarget::Kind::none;
        buff.tail_calls = 0;
        result = entry(&buff, self);
    }
    return result;
}

}  // namespace

Runner::Runner(ebpf::EntryPoint entry, const void* self)
    : entry_(entry), self_(self), state_(std::make_unique<State>()) {}

void Runner::place(const app::Bytes& packet) {
    State& state = *state_;
    state.page.fill(0);
    std::uint8_t* const data = state.page.data() + ebpf::kXdpHeadroom;
    std::copy(packet.begin(), packet.end(), data);
    state.buff = {};
    state.buff.data = data;
    state.buff.data_meta = data;
    state.buff.data_end = data + packet.size();
    state.buff.data_hard_start = state.page.data();
    state.buff.frame_sz = ebpf::kTestRunPageBytes;
    state.buff.ingress_ifindex = 1;
    state.buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));
}

std::pair<std::uint32_t, app::Bytes> Runner::run(const app::Bytes& packet) {
    place(packet);
    const std::uint64_t result = repeat_runs(entry_, self_, state_->buff, 1);
    return {static_cast<std::uint32_t>(result), {state_->buff.data_meta, state_->buff.data_end}};
}

void Runner::time(const app::Bytes& packet, std::uint32_t repeat) {
    place(packet);
    (void)repeat_runs(entry_, self_, state_->buff, repeat);
}

app::Engine engine_of(std::string name,
                      const std::shared_ptr<Runner>& runner,
                      const std::shared_ptr<const void>& keep) {
    return {
        .name = std::move(name),
        .run = [runner, keep](const app::Bytes& packet)
            -> Result<std::pair<std::uint32_t, app::Bytes>> { return runner->run(packet); },
        .time = [runner, keep](const app::Bytes& packet, std::uint32_t repeat) -> Status {
            runner->time(packet, repeat);
            return {};
        },
    };
}

}  // namespace crema::bench
