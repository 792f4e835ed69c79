// SPDX-License-Identifier: BSD-3-Clause
//
// The body of one function of a random program, written statement by statement with the types of
// registers and stack in mind, so that every verifier must accept it: numbers are written before
// they are read, pointers are used for what they point to and never become numbers, packet
// accesses lie behind checks, loops end.
//
// Statements by family: body_numbers.cpp, body_memory.cpp, body_flow.cpp, body_calls.cpp,
// body_maps.cpp.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/fuzz/dice.h"
#include "tests/fuzz/emitter.h"
#include "tests/fuzz/features.h"

namespace crema::test::fuzz {

enum class Kind : std::uint8_t {
    none,  // not readable
    number,
    context,
    packet,     // `bytes` proved
    map_value,  // `bytes` from here to its end
    constants,  // map_value that may only be read
    frame,      // `bytes` initialised bytes of a stack
    record,     // `bytes` of a ring buffer record: gone at its block's end
    slice,      // `bytes` of what a dynptr shows, aligned to nothing: the same
};

struct Holding {
    Kind kind = Kind::none;
    int bytes = 0;

    friend bool operator==(const Holding&, const Holding&) = default;
};

/// What is known at one place in the program.
struct Scope {
    std::array<Holding, 10> regs;
    std::bitset<512> data;  // stack bytes that hold numbers, by offset from the frame's low end
};

/// What a function takes in r1..r5.
using Signature = std::vector<Holding>;

/// What calls a function.
enum class Role : std::uint8_t {
    main,
    function,         // static
    global,           // verified from its types alone
    loop_callback,    // of bpf_loop
    each_callback,    // of bpf_for_each_map_elem over an array
    adding_callback,  // the same in any order of the elements: adds them up, and nothing else
};

[[nodiscard]] constexpr bool is_callback(Role role) {
    return role >= Role::loop_callback;
}

/// What the functions of a program share while it is written.
struct Workshop {
    Dice& dice;
    const Features& features;
    // By function; 0 is where a run starts.
    std::vector<Signature> signatures;
    std::vector<Role> roles;
    std::vector<bool> used;  // some function written so far names it
};

class Body {
  public:
    struct Plan {
        Role role = Role::main;  // callbacks return 0 or 1
        Signature arguments;
        int frame_bytes = 64;  // multiple of 8
        int statements = 10;
        std::size_t callees_from = 0;  // functions with a higher number may be called
    };

    Body(Workshop& shop, Emitter& out, const Plan& plan);

    void write();

  private:
    using Reg = int;

    void statement();
    void map_statement();
    void statements(int n);

    // body_numbers.cpp
    void arithmetic();
    void constant();
    void move_holding();
    /// A register that holds a number; where there is none, one that is not of these gets one.
    [[nodiscard]] Reg number(std::uint32_t not_these = 0);
    [[nodiscard]] std::optional<Reg> some(Kind kind);
    [[nodiscard]] Reg target(std::uint32_t not_these = 0);  // may be overwritten
    [[nodiscard]] Reg small_number(int mask, std::uint32_t not_these);

    void set_number(Reg reg) { scope_.regs[index(reg)] = {Kind::number, 0}; }

    // body_memory.cpp
    void stack_store();
    void stack_load();
    void spill_pointer();
    void packet_block();
    void global_access();
    void constant_access();
    void pointer_access();
    void access(Reg pointer, const Holding& what);
    void atomic_access(Reg pointer, int offset, int size);
    void stack_atomic();
    void load_context_field();
    void frame_access();
    void packet_bounds(Reg start, Reg end, Emitter::Label fails, int bytes);
    /// A place in the frame that may be written; nullopt: the frame is too small.
    [[nodiscard]] std::optional<int> free_place(int bytes, int align);
    /// One where all bytes are numbers already; `fill`: writes them where they are not.
    [[nodiscard]] std::optional<int> filled_place(int bytes, int align);
    [[nodiscard]] std::optional<int> data_place(int bytes, int align);

    // body_flow.cpp
    void branch();
    void counted_loop();
    void may_goto_loop();
    void early_exit();
    void compare_numbers(Emitter::Label label);
    void merge(const Scope& other);
    void forget_packet();
    [[nodiscard]] std::uint32_t begin_loop();
    void restore_for_back_edge(const Scope& entry);

    // body_calls.cpp
    void helper();
    void adjust();
    void checksum();
    void copy_bytes();
    void call_function();
    void call_loop();
    void call_each();
    void tail_call();
    void clobber_caller_registers();
    void get_context(Reg into);

    [[nodiscard]] bool has_context() const { return context_reg_ >= 0 || context_slot_ >= 0; }

    [[nodiscard]] std::optional<std::size_t> function_of(Role role);

    // body_maps.cpp
    void lookup();
    void update_or_delete();
    void inner_lookup();
    void queue_access();
    void ring_record();
    void ring_output();
    void dynptr_block();
    void dynptr_use(int place, int bytes);
    void block_with_value(int bytes, Kind kind, Emitter::Label null);
    [[nodiscard]] std::optional<int> put_key(int map);
    [[nodiscard]] Reg free_callee_saved();
    void null_check(Emitter::Label null);
    void forget(Kind kind);
    void set_busy(int at, int bytes, bool busy);
    [[nodiscard]] bool may_move_packet() const;
    void call_helper(std::int32_t id);
    [[nodiscard]] Code map_constant(Reg into, int map) const;
    void frame_address(Reg into, int at);

    void begin();
    void check_arguments();
    void add_up();
    void finish();
    void leave_traces();

    static std::size_t index(Reg reg) { return static_cast<std::size_t>(reg); }

    static std::uint32_t bit(Reg reg) { return 1U << static_cast<unsigned>(reg); }

    [[nodiscard]] bool is(Reg reg, Kind kind) const { return scope_.regs[index(reg)].kind == kind; }

    [[nodiscard]] bool locked(Reg reg) const { return (locked_ & bit(reg)) != 0; }

    /// Offset from r10 of the byte `at` bytes above the frame's low end.
    [[nodiscard]] int offset(int at) const { return at - plan_.frame_bytes; }

    void mark(int at, int bytes, bool data);
    [[nodiscard]] bool is_data(int at, int bytes) const;

    Workshop& shop_;
    Dice& dice_;
    const Features& features_;
    Emitter& out_;
    Plan plan_;
    Scope scope_;
    std::uint32_t locked_ = 0;  // registers that must keep their kind (loops, context)
    int context_reg_ = -1;
    int context_slot_ = -1;  // frame byte where the context pointer is spilled
    std::bitset<512> busy_;  // frame bytes that statements leave alone: spilled pointers
    int packet_epoch_ = 0;   // how often packet pointers have become invalid
    int depth_ = 0;          // blocks around the present statement
    int loops_ = 0;          // loops around it
    bool holds_ = false;     // a record or slice: no way out of the function until it is gone
};

}  // namespace crema::test::fuzz
