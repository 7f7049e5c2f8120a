/// Which memories a frame looks at: frame numbers only, no arrays.
///
/// The rules are those of `sam2_mlx/tracking/memory_schedule.py`; its plans are the golden vectors of
/// the tests.
public struct Schedule: Sendable, Hashable {
    /// A memory and its number: a time slot, or a distance in frames.
    public struct Reference: Sendable, Hashable {
        /// The frame that is remembered.
        public let frame: Int
        /// Its time slot, or its distance.
        public let number: Int

        public init(_ frame: Int, _ number: Int) {
            self.frame = frame
            self.number = number
        }
    }

    /// What one frame looks at.
    public struct Plan: Sendable, Hashable {
        /// Spatial memories with their time slots, prompted frames first.
        public var spatial: [Reference]
        /// Object pointers with their signed distances, prompted frames first.
        public var pointers: [Reference]
    }

    /// Spatial memories a frame looks at beside further prompted ones.
    public var memories: Int
    /// Frames whose pointers are looked at.
    public var maxPointers: Int
    /// Prompted frames that a frame looks at, at least 2.
    public var maxPrompted: Int
    /// Frames of the clip; nil for a stream.
    public var clipLength: Int?

    public init(memories: Int = 7, maxPointers: Int = 16, maxPrompted: Int = 8, clipLength: Int? = nil)
    {
        self.memories = memories
        self.maxPointers = maxPointers
        self.maxPrompted = maxPrompted
        self.clipLength = clipLength
    }

    /// Frames whose pointers count; a short clip has fewer.
    public var pointers: Int { min(clipLength ?? maxPointers, maxPointers) }

    /// The distance that counts as one.
    public var pointerSpan: Int { max(pointers - 1, 1) }

    /// Decides what a frame looks at.
    ///
    /// - Parameters:
    ///   - frame: the current frame.
    ///   - prompted: frames with a prompt, the oldest prompt first.
    ///   - recent: tracked frames whose memory is there.
    ///   - backwards: whether the clip is followed backwards.
    public func plan(_ frame: Int, prompted: [Int], recent: Set<Int>, backwards: Bool = false) -> Plan
    {
        let chosen = closest(frame, prompted)
        let available = recent.union(Set(prompted).subtracting(chosen))
        let sign = backwards ? -1 : 1
        var spatial = chosen.map { Reference($0, memories - 1) }
        for distance in stride(from: memories - 1, to: 0, by: -1)
        where available.contains(frame - sign * distance) {
            spatial.append(Reference(frame - sign * distance, distance - 1))
        }
        var pointers = chosen.map { Reference($0, sign * (frame - $0)) }.filter { $0.number >= 0 }
        for distance in stride(from: 1, to: self.pointers, by: 1) {
            let other = frame - sign * distance
            if other < 0 || other >= clipLength ?? .max { break }
            if available.contains(other) { pointers.append(Reference(other, distance)) }
        }
        return Plan(spatial: spatial, pointers: pointers)
    }

    /// Whether a tracked frame's spatial memory can still be asked for after a frame.
    public func needsTokens(of other: Int, after frame: Int) -> Bool {
        abs(frame - other) <= 1 + max(memories - 2, 0)
    }

    /// Whether a tracked frame's pointer can still be asked for after a frame.
    public func needsPointer(of other: Int, after frame: Int) -> Bool {
        abs(frame - other) <= pointers - 1
    }

    /// Prompted frames that no later frame in this direction will choose.
    public func spent(after frame: Int, prompted: [Int], backwards: Bool) -> [Int] {
        let passed = prompted.filter { backwards ? $0 >= frame : $0 <= frame }
        return Array(byDistance(passed, to: frame).dropFirst(maxPrompted + 1))
    }

    /// The nearest prompted frames before and after, then the nearest.
    private func closest(_ frame: Int, _ prompted: [Int]) -> [Int] {
        if prompted.count <= maxPrompted { return prompted }
        let before = prompted.filter { $0 < frame }.max()
        let after = prompted.filter { $0 >= frame }.min()
        let chosen = [before, after].compactMap { $0 }
        let others = byDistance(prompted.filter { !chosen.contains($0) }, to: frame)
        return chosen + others.prefix(maxPrompted - chosen.count)
    }

    /// Sorted by distance; of equal ones the first stays the first.
    private func byDistance(_ frames: [Int], to frame: Int) -> [Int] {
        frames.enumerated()
            .sorted { (abs($0.element - frame), $0.offset) < (abs($1.element - frame), $1.offset) }
            .map(\.element)
    }
}
