// SPDX-License-Identifier: BSD-3-Clause
//
// PROG_LOAD: attributes and instructions become a Program (program.h, its normal form), the
// verifier proves it, lowering and DPDK's JIT compile it or it is prepared for the interpreter, and
// a LoadedProgram goes to the store. There is no other way to one, so nothing runs that was not
// proved.
//
// An extension (freplace) is proved and built alike, from the prototype of what it replaces
// (extension.h).
//
// libbpf also loads tiny programs of other types to learn what the kernel can do. They are looked
// at, get a descriptor and no code. Real programs of other types are refused.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/helpers/prepare.h"
#include "lib/ebpf/lowering/dpdk_jit.h"
#include "lib/ebpf/lowering/functions.h"
#include "lib/ebpf/lowering/lower.h"
#include "lib/ebpf/program/structure.h"
#include "lib/ebpf/program/tag.h"
#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/debug_info.h"
#include "lib/ebpf/syscall/extension.h"
#include "lib/ebpf/syscall/map_references.h"
#include "lib/ebpf/syscall/user_memory.h"
#include "lib/ebpf/verifier/verify.h"

namespace crema::ebpf::syscall {
namespace {

constexpr std::uint32_t kInsnsMax = 1'000'000;
constexpr std::uint32_t kProbeInsnsMax = 64;
constexpr std::uint32_t kStrictAlignment = 1U << 0;
constexpr std::uint32_t kAnyAlignment = 1U << 1;  // how memory is read here anyway
constexpr std::uint32_t kHasFrags = 1U << 5;      // BPF_F_XDP_HAS_FRAGS
constexpr std::uint32_t kDeviceBound = 1U << 6;   // BPF_F_XDP_DEV_BOUND_ONLY
constexpr std::uint32_t kTestStateFreq = 1U << 3;
// Tests of the kernel: random upper halves of 32-bit results, bounds checked against each other.
// They make its faults show; no program means another thing by them.
constexpr std::uint32_t kTestFlags = 1U << 2 | 1U << 7;
constexpr std::uint32_t kServedFlags =
    kStrictAlignment | kAnyAlignment | kHasFrags | kDeviceBound | kTestStateFreq | kTestFlags;
constexpr std::uint32_t kLogLevelMask = 1 | 2 | 4 | 8;
constexpr std::uint32_t kLogFixed = 8;  // keep the start of a log that does not fit, not its end

std::atomic<std::uint32_t> next_id{1};

bool is_probe_type(std::uint32_t type) {
    return type == BPF_PROG_TYPE_SOCKET_FILTER || type == BPF_PROG_TYPE_KPROBE ||
           type == BPF_PROG_TYPE_TRACEPOINT || type == BPF_PROG_TYPE_CGROUP_SOCK;
}

bool is_gpl(const std::string& license) {
    constexpr std::array kCompatible = {"GPL",          "GPL v2",       "GPL and additional rights",
                                        "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
    return std::find(kCompatible.begin(), kCompatible.end(), license) != kCompatible.end();
}

Result<std::vector<Insn>> read_insns(const bpf_attr& attr, const std::string& name) {
    if (attr.insn_cnt == 0 || attr.insn_cnt > kInsnsMax) {
        return fail(E2BIG, "program {}: {} instructions: 1 to {} can be loaded", name,
                    attr.insn_cnt, kInsnsMax);
    }
    std::vector<Insn> insns(attr.insn_cnt);
    if (copy_in(insns.data(), attr.insns, insns.size() * sizeof(Insn)) != 0) {
        return fail(EFAULT, "program {}: instructions cannot be read", name);
    }
    return insns;
}

/// What a program asks for that this version does not serve. Null: nothing.
const char* unserved_attribute(const bpf_attr& attr) {
    if ((attr.prog_flags & ~kServedFlags) != 0) {
        return "load flags other than frags, alignment and those of tests";
    }
    if (attr.prog_ifindex != 0 && (attr.prog_flags & kDeviceBound) == 0) {
        return "programs that run in a device";
    }
    if (attr.prog_type != BPF_PROG_TYPE_EXT &&
        (attr.attach_btf_id != 0 || attr.attach_prog_fd != 0)) {
        return "attach targets of an XDP program";
    }
    return nullptr;
}

/// What is told of a program beside what it does.
struct Told {
    ProgramTag tag{};
    DebugRecords debug;
    std::unique_ptr<Extension> extension;
};

/// The program that an extension is for; null: it names none.
Result<std::shared_ptr<const LoadedProgram>> target_of(const bpf_attr& attr,
                                                       const std::string& name) {
    constexpr std::uint32_t kTypesMax = 0xfffff;  // ids of BTF types
    if (attr.expected_attach_type != 0 || attr.attach_btf_id > kTypesMax) {
        return fail(EINVAL, "program {}: an extension has no attach type, and names a function",
                    name);
    }
    if (attr.attach_prog_fd == 0) {
        return std::shared_ptr<const LoadedProgram>();
    }
    int error = 0;
    const auto object = object_store::find(static_cast<int>(attr.attach_prog_fd), &error);
    if (object != nullptr && std::holds_alternative<BtfObject>(*object)) {
        // The field may name types of the kernel instead, and those that are no program's.
        return fail(maps::kNotSupported, "program {}: descriptor {} is BTF, not a program", name,
                    attr.attach_prog_fd);
    }
    const auto* target = object != nullptr ? std::get_if<ProgramObject>(object.get()) : nullptr;
    if (target == nullptr) {
        return fail(EINVAL, "program {}: descriptor {} is no program", name, attr.attach_prog_fd);
    }
    return target->program;
}

/// Makes an extension of `program`, whose functions and types are known.
Status read_extension(const bpf_attr& attr, Program& program, Told& told) {
    if (program.bound_ifindex != 0 || (attr.prog_flags & kDeviceBound) != 0) {
        return fail(EINVAL, "program {}: an extension goes where its target goes: it is not bound",
                    program.name);
    }
    auto target = target_of(attr, program.name);
    if (!target) {
        return forward_error(target);
    }
    auto replaced = find_replaced(std::move(*target), attr.attach_btf_id, program);
    if (!replaced) {
        return fail(replaced.error().code, "program {}: {}", program.name,
                    replaced.error().message);
    }
    program.is_extension = true;
    program.may_move_packet = replaced->program->moves_packet(replaced->function);
    program.expected_attach_type = replaced->program->program.expected_attach_type;
    program.bound_ifindex = replaced->program->program.bound_ifindex;
    told.extension = std::make_unique<Extension>();
    told.extension->function = replaced->function;
    told.extension->btf_type = replaced->btf_type;
    told.extension->attach_type = program.expected_attach_type;
    told.extension->target = std::move(replaced->program);
    return {};
}

Result<Program> read_attributes(const bpf_attr& attr, Told& told) {
    constexpr std::size_t kLicenseBytesMax = 127;
    Program program;
    if (!read_name(attr.prog_name, program.name)) {
        return fail(EINVAL, "program name is not up to 15 letters, digits, '_' or '.'");
    }
    const std::string& name = program.name;
    if (const char* what = unserved_attribute(attr); what != nullptr) {
        return fail(EINVAL, "program {}: {} are not served", name, what);
    }
    std::string license;
    if (copy_in_string(license, attr.license, kLicenseBytesMax) != 0) {
        return fail(EFAULT, "program {}: license cannot be read", name);
    }
    program.gpl_compatible = is_gpl(license);
    program.expected_attach_type = attr.expected_attach_type;
    program.bound_ifindex = attr.prog_ifindex;
    program.has_fd_array = attr.fd_array != 0;
    program.has_frags = (attr.prog_flags & kHasFrags) != 0;
    program.strict_alignment = (attr.prog_flags & kStrictAlignment) != 0;
    program.test_state_freq = (attr.prog_flags & kTestStateFreq) != 0;
    auto insns = read_insns(attr, name);
    if (!insns) {
        return forward_error(insns);
    }
    program.insns = std::move(*insns);
    told.tag = tag_of(program.insns);
    if (const auto refusal = find_functions(program)) {
        return fail(refusal->code, "program {}: instruction {}: {}", name, refusal->insn,
                    refusal->reason);
    }
    if (auto read = read_debug_info(attr, program, told.debug); !read) {
        return forward_error(read);
    }
    if (auto resolved = resolve_maps(program, attr.fd_array); !resolved) {
        return forward_error(resolved);
    }
    if (attr.prog_type == BPF_PROG_TYPE_EXT) {
        if (auto read = read_extension(attr, program, told); !read) {
            return forward_error(read);
        }
    }
    return program;
}

std::uint64_t elapsed_ns(std::chrono::steady_clock::time_point since) {
    const auto spent = std::chrono::steady_clock::now() - since;
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count());
}

Status compile(const Program& program, const verifier::Proof& proof, LoadedProgram& loaded) {
    const auto lowered = lowering::lower(program, proof);
    if (!lowered) {
        return forward_error(lowered);
    }
    auto code = lowering::compile(*lowered);
    if (!code) {
        return forward_error(code);
    }
    loaded.code = std::move(*code);
    return {};
}

Status prepare(const Program& program, const verifier::Proof& proof, LoadedProgram& loaded) {
    auto image = interpreter::Image::prepare(program, &proof);
    if (!image) {
        return forward_error(image);
    }
    loaded.image = std::move(*image);
    return {};
}

/// Addresses of the functions that timers may call.
std::vector<std::uint64_t> timer_callbacks(const Program& program,
                                           const verifier::Proof& proof,
                                           const LoadedProgram& loaded) {
    std::vector<std::uint64_t> addresses;
    const auto is_one = [&](std::size_t function) {
        return proof.functions[function].async_callback;
    };
    if (loaded.image != nullptr) {
        const auto functions = lowering::functions_of(program);
        for (const interpreter::Callback& callback : loaded.image->callbacks()) {
            for (std::size_t i = 0; i < functions.size(); ++i) {
                if (is_one(i) && functions[i].first == callback.first_slot()) {
                    addresses.push_back(callback.address());
                }
            }
        }
        return addresses;
    }
    const auto order = lowering::compile_order(program, proof);
    for (std::size_t place = 0; order && place < order->size(); ++place) {
        if (is_one((*order)[place])) {
            addresses.push_back(loaded.code.functions()[place].address);
        }
    }
    return addresses;
}

/// What the helpers that the program calls need before it runs.
Status prepare_helpers(const Program& program) {
    for (std::size_t at = 0; at < program.insns.size(); ++at) {
        const Insn& insn = program.insns[at];
        if (insn.code == op::kLdImm64) {
            ++at;
        } else if (insn.code == (op::kJmp | op::kCall) && insn.src == 0) {
            if (auto ready = helpers::prepare(static_cast<std::uint32_t>(insn.imm)); !ready) {
                return fail(ready.error().code, "program {}: instruction {}: {}", program.name, at,
                            ready.error().message);
            }
        }
    }
    return {};
}

/// The first program of a map that holds programs decides which others go with it.
Status fits_its_maps(const Program& program) {
    for (const auto& map : program.maps) {
        const maps::MapType type = map->spec().type;
        const bool holds_programs = type == maps::MapType::prog_array ||
                                    type == maps::MapType::devmap || type == maps::MapType::cpumap;
        if (holds_programs && !map->admits(traits_of(program))) {
            return fail(EINVAL,
                        "program {}: map {} is used by programs of another attach type or without "
                        "the same frags flag",
                        program.name, map->spec().name);
        }
    }
    return {};
}

std::uint64_t now_since_boot_ns() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// Takes `program` when it is accepted. `judgement` gets the figures.
Result<std::shared_ptr<LoadedProgram>> prove_and_build(Program& program,
                                                       Engine engine,
                                                       std::uint32_t log_level,
                                                       Judgement& judgement) {
    const auto start = std::chrono::steady_clock::now();
    const auto proof =
        verifier::verify(program, {.log_level = log_level & ~kLogFixed},
                         log_level != 0 ? &judgement.log : nullptr, &judgement.processed_insns);
    judgement.verify_ns = elapsed_ns(start);
    if (!proof) {
        return forward_error(proof);
    }
    judgement.stack_bytes = proof->stack_bytes;
    if (auto ready = prepare_helpers(program); !ready) {
        return forward_error(ready);
    }
    const auto proved = std::chrono::steady_clock::now();
    auto loaded = std::make_shared<LoadedProgram>();
    const Status built = engine == Engine::automatic && lowering::kHasJit
                             ? compile(program, *proof, *loaded)
                             : prepare(program, *proof, *loaded);
    if (!built) {
        return forward_error(built);
    }
    if (const Status fits = fits_its_maps(program); !fits) {
        return forward_error(fits);
    }
    if (const auto callbacks = timer_callbacks(program, *proof, *loaded); !callbacks.empty()) {
        loaded->timer_callbacks = std::make_unique<maps::CallbackOwner>(loaded, callbacks);
    }
    loaded->id = next_id.fetch_add(1, std::memory_order_relaxed);
    loaded->program = std::move(program);
    loaded->verified_insns = proof->processed_insns;
    loaded->facts = proof->functions;
    loaded->load_time_ns = now_since_boot_ns();
    loaded->uid = getuid();
    judgement.compile_ns = elapsed_ns(proved);
    return loaded;
}

/// Attributes to a program in the form of the store. `judgement` gets all but the verdict.
Result<ProgramObject> load_program(const bpf_attr& attr, Judgement& judgement) {
    Told told;
    auto program = read_attributes(attr, told);
    if (!program) {
        (void)read_name(attr.prog_name, judgement.program.name);
        return forward_error(program);
    }
    const Session& session = *Session::current();
    const std::uint32_t log_level = attr.log_level != 0 ? attr.log_level : session.log_level();
    auto loaded = prove_and_build(*program, session.engine(), log_level, judgement);
    if (!loaded) {
        judgement.program = std::move(*program);
        return forward_error(loaded);
    }
    if (told.extension != nullptr) {
        const Status fits =
            check_arguments(*told.extension->target, told.extension->function, **loaded);
        if (!fits) {
            judgement.log += fits.error().message + "\n";
            return fail(fits.error().code, "program {}: {}", (*loaded)->program.name,
                        fits.error().message);
        }
    }
    (*loaded)->tag = told.tag;
    (*loaded)->debug = std::move(told.debug);
    (*loaded)->extension = std::move(told.extension);
    return ProgramObject{.program = std::move(*loaded)};
}

/// Writes the log to the caller's buffer, always ended by NUL. 0, -ENOSPC when it was cut, -EFAULT.
long write_log(const bpf_attr& attr, const std::string& log) {
    if (attr.log_size == 0) {
        return 0;
    }
    const std::size_t room = attr.log_size - 1;
    const std::size_t bytes = std::min(room, log.size());
    const bool keep_start = (attr.log_level & kLogFixed) != 0;
    const std::string shown = log.substr(keep_start ? 0 : log.size() - bytes, bytes);
    if (const int err = copy_out(attr.log_buf, shown.c_str(), shown.size() + 1); err != 0) {
        return err;
    }
    return bytes < log.size() ? -ENOSPC : 0;
}

bool log_request_valid(const bpf_attr& attr) {
    return (attr.log_buf != 0) == (attr.log_size != 0) &&
           (attr.log_buf == 0 || attr.log_level != 0) && (attr.log_level & ~kLogLevelMask) == 0;
}

/// What bpftool asks whether more than 4096 instructions are taken with. XDP programs may have as
/// many as the kernel takes.
bool only_sets_result(const std::vector<Insn>& insns) {
    return std::all_of(insns.begin(), insns.end() - 1, [](const Insn& insn) {
        return insn.code == (op::kAlu64 | op::kMov | op::kK) && insn.dst == 0;
    });
}

/// A refused probe is an answer to libbpf, not a reason to tell anybody: nothing is noted.
long load_probe(const bpf_attr& attr) {
    Program program;
    if (!read_name(attr.prog_name, program.name)) {
        return -EINVAL;
    }
    auto insns = read_insns(attr, program.name);
    if (!insns) {
        return -insns.error().code;
    }
    if (insns->back().code != (op::kJmp | op::kExit) ||
        (insns->size() > kProbeInsnsMax && !only_sets_result(*insns))) {
        return -EINVAL;
    }
    program.insns = std::move(*insns);
    if (auto resolved = resolve_maps(program, attr.fd_array); !resolved) {
        return -resolved.error().code;
    }
    return publish(ProbeProgram{});
}

}  // namespace

long prog_load(Call& call) {
    const bpf_attr& attr = call.attr;
    if (!log_request_valid(attr)) {
        return refuse(EINVAL, "log level {:#x} with a log buffer of {} bytes", attr.log_level,
                      attr.log_size);
    }
    if (is_probe_type(attr.prog_type)) {
        return load_probe(attr);
    }
    if (attr.prog_type != BPF_PROG_TYPE_XDP && attr.prog_type != BPF_PROG_TYPE_EXT) {
        return refuse(EINVAL, "program type {} is not served, only XDP (6) and extensions (28)",
                      attr.prog_type);
    }
    Judgement judgement;
    auto object = load_program(attr, judgement);
    if (!object && judgement.log.empty()) {
        // refused before or behind the verifier
        judgement.log = object.error().message + "\n";
    }
    const long log_written = attr.log_level != 0 ? write_log(attr, judgement.log) : 0;
    Session& session = *Session::current();
    if (session.goes_on()) {
        if (object) {
            judgement.loaded = object->program;
        } else {
            judgement.refusal = object.error();
        }
        session.note(std::move(judgement));
        return object ? publish(std::move(*object)) : publish(ProbeProgram{});
    }
    if (!object) {
        const long refused = refuse(object.error());
        return log_written != 0 ? log_written : refused;
    }
    return log_written != 0 ? log_written : publish(std::move(*object));
}

}  // namespace crema::ebpf::syscall
