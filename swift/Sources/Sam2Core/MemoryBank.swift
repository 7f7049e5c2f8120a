/// What is remembered of one object, by frame.
///
/// - Tokens: spatial memories, as the engine has them.
/// - Pointer: object pointers, as the engine has them.
public struct MemoryBank<Tokens, Pointer> {
    /// One frame.
    public struct Record {
        /// The spatial memory; nil once only the pointer is needed.
        public var tokens: Tokens?
        /// The object pointer.
        public let pointer: Pointer

        public init(tokens: Tokens, pointer: Pointer) {
            self.tokens = tokens
            self.pointer = pointer
        }
    }

    /// Frames with a prompt, in the order of their prompts.
    public private(set) var promptedFrames: [Int] = []
    private var prompted: [Int: Record] = [:]
    private var recent: [Int: Record] = [:]

    public init() {}

    /// Tracked frames that are remembered.
    public var recentFrames: Set<Int> { Set(recent.keys) }

    /// The record of a frame, prompted or tracked.
    public subscript(frame: Int) -> Record? { prompted[frame] ?? recent[frame] }

    /// Whether a frame has a prompt.
    public func isPrompted(_ frame: Int) -> Bool { prompted[frame] != nil }

    /// Remembers a frame; what was remembered of it before is replaced.
    public mutating func write(_ record: Record, frame: Int, isPrompted: Bool) {
        if isPrompted {
            recent[frame] = nil
            if prompted.updateValue(record, forKey: frame) == nil { promptedFrames.append(frame) }
        } else {
            recent[frame] = record
        }
    }

    /// Drops what no later frame can ask for.
    public mutating func tidy(after frame: Int, schedule: Schedule, backwards: Bool) {
        for other in schedule.spent(after: frame, prompted: promptedFrames, backwards: backwards) {
            recent[other] = prompted.removeValue(forKey: other)
            promptedFrames.removeAll { $0 == other }
        }
        for other in recent.keys where !schedule.needsTokens(of: other, after: frame) {
            if schedule.needsPointer(of: other, after: frame) {
                recent[other]?.tokens = nil
            } else {
                recent[other] = nil
            }
        }
    }
}

extension MemoryBank: Sendable where Tokens: Sendable, Pointer: Sendable {}
extension MemoryBank.Record: Sendable where Tokens: Sendable, Pointer: Sendable {}
