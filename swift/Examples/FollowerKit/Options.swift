import Foundation
import Sam2Core

/// What the command line of the follower says.
public struct Options: Sendable, Equatable {
    /// Which engine follows.
    public enum Engine: Sendable, Equatable {
        /// The worker's program with its arguments, and the name of a model.
        case worker([String], model: String)
        /// The folder of a bundle.
        case bundle(String)
    }

    /// Which engine follows.
    public var engine: Engine
    /// What is read.
    public var clip: String
    /// The folder that is written.
    public var output: String
    /// One object each.
    public var clicks: [Click]
    /// Frames a second of the overlay.
    public var frameRate: String

    /// How the command is called.
    public static let usage = """
        usage: follower CLIP OUT --click X,Y [--click X,Y ...] [--rate N]
                 [--worker "sam2-mlx serve --stdio" --model nano | --bundle FOLDER]

        Follows one object for each click on the first frame. OUT gets a folder of masks for each
        object and overlay.mp4. CLIP is read by ffmpeg, or is a stream of PPM pictures; without
        ffmpeg the overlay is overlay.ppm, such a stream.
        """

    /// - Throws: ``FrameError`` with one line for people.
    public init(_ arguments: [String]) throws {
        var plain: [String] = []
        var given: [String: String] = [:]
        clicks = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                plain.append(word)
                continue
            }
            guard let value = rest.popFirst() else { throw FrameError("\(word) needs a value") }
            switch word {
            case "--click": clicks.append(try Self.click(value))
            case "--rate", "--worker", "--model", "--bundle": given[word] = value
            default: throw FrameError("unknown option \(word)")
            }
        }
        guard plain.count == 2, !clicks.isEmpty else { throw FrameError(Self.usage) }
        (clip, output) = (plain[0], plain[1])
        frameRate = given["--rate"] ?? "24"
        if let bundle = given["--bundle"] {
            engine = .bundle(bundle)
        } else {
            let command = given["--worker"] ?? "sam2-mlx serve --stdio"
            engine = .worker(
                command.split(separator: " ").map(String.init), model: given["--model"] ?? "nano")
        }
    }

    private static func click(_ text: String) throws -> Click {
        let numbers = text.split(separator: ",").compactMap { Double($0) }
        guard numbers.count == 2 else { throw FrameError("--click is X,Y in pixels; got \(text)") }
        return .on(numbers[0], numbers[1])
    }
}
