// SPDX-License-Identifier: BSD-3-Clause
//
// See helper_call.h. Layout of the kernel's map value: the result in the first 8 bytes, the call's
// memory behind it.
#include "tests/support/helper_call.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/maps/known_memory.h"
#include "tests/support/asm.h"
#include "tests/support/kernel_bpf.h"

namespace crema::test {

namespace {

constexpr std::uint32_t kResultBytes = 8;

Code program_for(const HelperCall& call) {
    std::vector<Code> parts{mov(6, 1)};
    for (const PointerInMemory& pointer : call.pointers) {
        parts.push_back(ld_map_value(1, 0, static_cast<int>(pointer.at + kResultBytes)));
        parts.push_back(ld_map_value(2, 0, static_cast<int>(pointer.target + kResultBytes)));
        parts.push_back(store(op::kDw, 1, 0, 2));
    }
    int reg = 1;
    for (const CallArg& arg : call.args) {
        switch (arg.kind) {
            case CallArg::Kind::number:
                parts.push_back(ld_imm64(reg, arg.number));
                break;
            case CallArg::Kind::null:
                parts.push_back(mov_k(reg, 0));
                break;
            case CallArg::Kind::context:
                parts.push_back(mov(reg, 6));
                break;
            case CallArg::Kind::memory:
                parts.push_back(ld_map_value(reg, 0, static_cast<int>(arg.number + kResultBytes)));
                break;
            case CallArg::Kind::constant:
                parts.push_back(ld_map_value(reg, 1, static_cast<int>(arg.number)));
                break;
        }
        reg++;
    }
    parts.push_back(ebpf::Insn(test::call(static_cast<int>(call.helper))));
    parts.push_back(ld_map_value(1, 0, 0));
    parts.push_back(store(op::kDw, 1, 0, 0));
    parts.push_back(mov_k(0, 2));
    parts.push_back(exit_insn());
    Code all;
    for (const Code& part : parts) {
        all = Code{all, part};
    }
    return all;
}

class Fd {
  public:
    explicit Fd(int fd) : fd_(fd) {}

    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    ~Fd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

void clear_pointers(const HelperCall& call, CallOutcome& outcome) {
    for (const PointerInMemory& pointer : call.pointers) {
        std::memset(outcome.memory.data() + pointer.at, 0, sizeof(std::uint64_t));
    }
}

struct alignas(64) Page {
    std::array<std::uint8_t, ebpf::kTestRunPageBytes> bytes{};
};

std::uint32_t linear_bytes(const HelperCall& call) {
    return std::min(
        {static_cast<std::uint32_t>(call.frame.size()), call.linear, ebpf::kTestRunLinearMax});
}

/// Where the bytes of a call's frame lie that its first page has not.
struct Rest {
    explicit Rest(const HelperCall& call) {
        list.may_grow = true;
        for (std::size_t at = linear_bytes(call); at < call.frame.size();) {
            const std::size_t part = std::min<std::size_t>(call.frame.size() - at, kPage);
            pages.push_back(std::make_unique<Page>());
            std::uint8_t* const data = pages.back()->bytes.data();
            std::copy_n(&call.frame[at], part, data);
            list.all.at(list.n++) = {.data = data,
                                     .len = static_cast<std::uint32_t>(part),
                                     .room = static_cast<std::uint32_t>(kPage - part),
                                     .owner = nullptr};
            list.bytes += static_cast<std::uint32_t>(part);
            at += part;
        }
        list.shown = list.n;
    }

    static constexpr std::size_t kPage = ebpf::kTestRunPageBytes;
    std::vector<std::unique_ptr<Page>> pages;
    ebpf::Fragments list{};
};

}  // namespace

CallOutcome call_in_kernel(const HelperCall& call) {
    CallOutcome outcome;
    std::vector<std::uint8_t> value(kResultBytes + call.memory.size());
    std::copy(call.memory.begin(), call.memory.end(), value.begin() + kResultBytes);
    const Fd map(kernel::create_map({.type = ebpf::maps::MapType::array,
                                     .key_size = 4,
                                     .value_size = static_cast<std::uint32_t>(value.size()),
                                     .max_entries = 1,
                                     .flags = 0,
                                     .name = "memory"}));
    const std::uint32_t key = 0;
    outcome.error = std::min(map.get(), 0);
    if (outcome.error == 0) {
        outcome.error = kernel::update(map.get(), &key, value.data(), 0);
    }
    if (outcome.error != 0) {
        return outcome;
    }
    const ebpf::Program program = program_of(program_for(call));
    constexpr std::uint32_t kReadOnly = 128;
    const Fd constants(
        kernel::create_map({.type = ebpf::maps::MapType::array,
                            .key_size = 4,
                            .value_size = static_cast<std::uint32_t>(call.constants.size() + 1),
                            .max_entries = 1,
                            .flags = kReadOnly,
                            .name = "constants"}));
    outcome.error = kernel::update(constants.get(), &key, call.constants.c_str(), 0);
    if (outcome.error == 0) {
        outcome.error = kernel::freeze(constants.get());
    }
    if (outcome.error != 0) {
        return outcome;
    }
    const int fds[] = {map.get(), constants.get()};
    const Fd fd(kernel::load_xdp(program, fds, &outcome.log));
    if (fd.get() < 0) {
        outcome.error = fd.get();
        return outcome;
    }
    std::vector<std::uint8_t> packet(call.meta_bytes);
    packet.insert(packet.end(), call.frame.begin(), call.frame.end());
    kernel::Context context{.data = call.meta_bytes,
                            .data_end = call.meta_bytes + linear_bytes(call)};
    kernel::Run run = kernel::test_run(fd.get(), packet, context);
    outcome.error = run.error;
    outcome.bytes = std::move(run.packet);
    outcome.meta_bytes = context.data;
    if (outcome.error == 0) {
        outcome.error = kernel::lookup(map.get(), &key, value.data());
    }
    std::memcpy(&outcome.result, value.data(), sizeof outcome.result);
    outcome.memory.assign(value.begin() + kResultBytes, value.end());
    clear_pointers(call, outcome);
    return outcome;
}

CallOutcome call_native(const HelperCall& call, ebpf::helpers::Native native, bool wants_context) {
    Rest rest(call);
    const auto page = std::make_unique<Page>();
    ebpf::XdpBuff buff{};
    buff.data_hard_start = page->bytes.data();
    buff.frame_sz = ebpf::kTestRunPageBytes;
    buff.data = page->bytes.data() + ebpf::kXdpHeadroom;  // metadata: in the headroom
    buff.data_meta = buff.data - call.meta_bytes;
    buff.data_end = std::copy_n(call.frame.begin(), linear_bytes(call), buff.data);
    buff.ingress_ifindex = 1;
    buff.fragments = rest.list.n != 0 ? &rest.list : nullptr;

    CallOutcome outcome;
    outcome.memory = call.memory;
    for (const PointerInMemory& pointer : call.pointers) {
        const auto address =
            reinterpret_cast<std::uintptr_t>(outcome.memory.data() + pointer.target);
        std::memcpy(outcome.memory.data() + pointer.at, &address, sizeof address);
    }
    const ebpf::maps::KnownMemory known(outcome.memory.data(), outcome.memory.size());
    const ebpf::RunScope scope(buff);
    std::array<std::uint64_t, 5> args{};
    for (std::size_t i = 0; i < call.args.size(); ++i) {
        const CallArg& arg = call.args[i];
        args[i] = arg.number;
        if (arg.kind == CallArg::Kind::context) {
            args[i] = reinterpret_cast<std::uintptr_t>(&buff);
        } else if (arg.kind == CallArg::Kind::memory) {
            args[i] = reinterpret_cast<std::uintptr_t>(outcome.memory.data() + arg.number);
        } else if (arg.kind == CallArg::Kind::constant) {
            args[i] = reinterpret_cast<std::uintptr_t>(call.constants.c_str() + arg.number);
        }
    }
    if (wants_context) {
        args[4] = reinterpret_cast<std::uintptr_t>(&buff);
    }
    outcome.result = native(args[0], args[1], args[2], args[3], args[4]);
    outcome.bytes.assign(buff.data_meta, buff.data_end);
    for (std::uint32_t i = 0; i < rest.list.n; ++i) {
        const ebpf::Fragment& fragment = rest.list.all.at(rest.list.first + i);
        outcome.bytes.insert(outcome.bytes.end(), fragment.data, fragment.data + fragment.len);
    }
    outcome.meta_bytes = static_cast<std::uint32_t>(buff.data - buff.data_meta);
    clear_pointers(call, outcome);
    return outcome;
}

std::string describe(const HelperCall& call) {
    std::string text = fmt::format("helper {}(", call.helper);
    const char* separator = "";
    for (const CallArg& arg : call.args) {
        text += separator;
        separator = ", ";
        switch (arg.kind) {
            case CallArg::Kind::number:
                text += fmt::format("{}", static_cast<std::int64_t>(arg.number));
                break;
            case CallArg::Kind::context:
                text += "ctx";
                break;
            case CallArg::Kind::memory:
                text += fmt::format("memory + {}", arg.number);
                break;
            case CallArg::Kind::constant:
                text += fmt::format("\"{}\"", call.constants.c_str() + arg.number);
                break;
            case CallArg::Kind::null:
                text += "NULL";
                break;
        }
    }
    return text + fmt::format("), frame of {} bytes, {} of them linear, metadata of {}",
                              call.frame.size(), linear_bytes(call), call.meta_bytes);
}

std::string describe(const CallOutcome& outcome) {
    return fmt::format("error {} {}, result {}, metadata {} bytes, with frame {}", outcome.error,
                       outcome.log, static_cast<std::int64_t>(outcome.result), outcome.meta_bytes,
                       outcome.bytes.size());
}

}  // namespace crema::test
