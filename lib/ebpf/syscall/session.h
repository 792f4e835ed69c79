// SPDX-License-Identifier: BSD-3-Clause
//
// The span in which one thread makes bpf(2) calls: loads one object, or serves another process.
// libbpf closes its descriptors by close(2), which the seam does not see, so objects made by bpf(2)
// calls of this thread belong to the session and leave the store with it, unless it was said that
// they live as the kernel's do. Programs and maps that somebody still shares live on.
//
// Outside of a session nothing can be created (EPERM); element commands need none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/loaded_program.h"

namespace crema::ebpf::syscall {

/// How one XDP program was judged by PROG_LOAD.
struct Judgement {
    std::shared_ptr<const LoadedProgram> loaded;  // null: refused
    std::optional<Error> refusal;
    Program program;  // when refused: as far as it could be read; else empty, see `loaded`
    std::string log;  // of the verifier, or the reason when something else refused
    std::uint64_t processed_insns = 0;
    std::uint32_t stack_bytes = 0;  // 0 when refused
    std::uint64_t verify_ns = 0;
    std::uint64_t compile_ns = 0;  // lowering and code generation
};

/// The host kernel's types, by a spelling that leads past our own (kernel_files.cpp).
inline constexpr const char* kHostKernelTypes = "/sys/kernel/btf/./vmlinux";

/// Engine::interpreter with CREMA_JIT=off in the environment, else Engine::automatic.
[[nodiscard]] Engine default_engine();

class Session {
  public:
    /// What a refused program means to the caller of bpf(2). libbpf gives an object up at the first
    /// error; with go_on a refused program gets a descriptor without code, and judgements() says
    /// what became of each.
    enum class OnRefusal : std::uint8_t { fail, go_on };

    /// How long what the session made is known by its descriptors.
    enum class Lifetime : std::uint8_t {
        session,      // until the session ends
        descriptors,  // as in the kernel: until no process has the descriptor, whatever its session
    };

    /// log_level: as in bpf(2), for every program of the session, besides what the caller of
    /// PROG_LOAD asks for. One session per thread at a time.
    explicit Session(std::uint32_t log_level = 0,
                     OnRefusal on_refusal = OnRefusal::fail,
                     Engine engine = default_engine(),
                     Lifetime lifetime = Lifetime::session);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    Session(Session&&) = delete;
    Session& operator=(Session&&) = delete;

    /// The session of the calling thread, or null.
    [[nodiscard]] static Session* current();

    /// Why the last MAP_CREATE or PROG_LOAD of this session was refused, as one line. Refused
    /// probes are not noted, and neither is refused BTF: libbpf goes on without it.
    [[nodiscard]] const std::optional<Error>& refusal() const { return refusal_; }

    /// With go_on: one per PROG_LOAD of an XDP program, in that order.
    [[nodiscard]] const std::vector<Judgement>& judgements() const { return judgements_; }

    [[nodiscard]] std::uint32_t log_level() const { return log_level_; }

    void note_refusal(Error why) { refusal_ = std::move(why); }

    void clear_refusal() { refusal_.reset(); }

    [[nodiscard]] bool goes_on() const { return on_refusal_ == OnRefusal::go_on; }

    /// How the programs of this session run.
    [[nodiscard]] Engine engine() const { return engine_; }

    /// Under which owner new objects are kept in the store.
    [[nodiscard]] const void* owner() const;

    void note(Judgement judgement) { judgements_.push_back(std::move(judgement)); }

  private:
    std::uint32_t log_level_;
    OnRefusal on_refusal_;
    Engine engine_;
    Lifetime lifetime_;
    std::optional<Error> refusal_;
    std::vector<Judgement> judgements_;
};

/// What an open descriptor of the store means; null when it is no program or map of ours. A map's
/// pointer counts as a user of the map (Map::add_user) like a descriptor does.
[[nodiscard]] std::shared_ptr<const LoadedProgram> program_of(int fd);
[[nodiscard]] std::shared_ptr<maps::Map> map_of(int fd);

/// A descriptor for a program, to be put into a devmap or cpumap value (field bpf_prog.fd) before
/// Map::update. The map takes its own share, so the descriptor may go as soon as update returns.
class ProgramFd {
  public:
    [[nodiscard]] static Result<ProgramFd> open(std::shared_ptr<const LoadedProgram> program);

    [[nodiscard]] int get() const { return handle_->fd.get(); }

  private:
    /// Its address names the entry's owner in the store, so it stays in place when this moves.
    struct Handle {
        Handle() = default;
        ~Handle();
        Handle(const Handle&) = delete;
        Handle& operator=(const Handle&) = delete;
        Handle(Handle&&) = delete;
        Handle& operator=(Handle&&) = delete;
        UniqueFd fd;
    };

    explicit ProgramFd(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}

    std::unique_ptr<Handle> handle_;
};

}  // namespace crema::ebpf::syscall
