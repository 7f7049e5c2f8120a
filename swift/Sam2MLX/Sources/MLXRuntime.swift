import Foundation
import MLX
import Sam2Native

/// MLX as mlx-swift builds it into an app: the way to phones and tablets.
///
/// Experimental: its types are checked, but nobody has reported a run.
public final class MLXRuntime: Runtime, @unchecked Sendable {
    /// An array of MLX.
    public struct Tensor: @unchecked Sendable {
        let array: MLXArray
    }

    private let functions: ImportedFunction

    /// The MLX of the release that Package.swift pins.
    public static let version = "0.32.2"

    public static var device: String { Device.defaultDevice().deviceType == .gpu ? "gpu" : "cpu" }

    public init(functions file: URL) throws { functions = try importFunction(from: file) }

    public func tensor(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        Tensor(array: MLXArray(values, shape))
    }

    public func tensor(_ values: [Int32], _ shape: [Int]) throws -> Tensor {
        Tensor(array: MLXArray(values, shape))
    }

    public func tensor(_ values: [UInt8], _ shape: [Int]) throws -> Tensor {
        Tensor(array: MLXArray(values, shape))
    }

    public func padded(_ tensors: [Tensor], count: Int, example: Tensor) throws -> Tensor {
        let rest = max(count - tensors.count, 0)
        let zeros = [MLXArray](repeating: MLXArray.zeros(like: example.array), count: rest)
        return Tensor(array: stacked(tensors.map(\.array) + zeros, axis: 1))
    }

    public func call(_ arguments: [String: Tensor]) throws -> [Tensor] {
        func at(_ name: String) throws -> MLXArray {
            guard let tensor = arguments[name] else {
                throw NativeError.runtime("the argument \(name) is missing")
            }
            return tensor.array
        }
        // Names of arguments are written out, as mlx-swift wants them.
        let found: [MLXArray]
        if arguments["image"] != nil {
            found = try functions(image: at("image"))
        } else if arguments["spatial"] != nil {
            found = try functions(
                coarse: at("coarse"), spatial: at("spatial"), slots: at("slots"),
                pointers: at("pointers"), distances: at("distances"), used: at("used"))
        } else if arguments["previous"] != nil {
            found = try functions(
                conditioned: at("conditioned"), fine: at("fine"), middle: at("middle"),
                coords: at("coords"), labels: at("labels"), previous: at("previous"))
        } else if arguments["coords"] != nil {
            found = try functions(
                conditioned: at("conditioned"), fine: at("fine"), middle: at("middle"),
                coords: at("coords"), labels: at("labels"))
        } else if arguments["conditioned"] != nil {
            found = try functions(
                conditioned: at("conditioned"), fine: at("fine"), middle: at("middle"))
        } else if arguments["mask"] != nil {
            found = try functions(
                coarse: at("coarse"), fine: at("fine"), middle: at("middle"), mask: at("mask"))
        } else if arguments["shown"] != nil {
            found = try functions(
                coarse: at("coarse"), shown: at("shown"), presence: at("presence"))
        } else {
            found = try functions(
                coarse: at("coarse"), predicted: at("predicted"), presence: at("presence"))
        }
        return found.map { Tensor(array: $0) }
    }

    public func evaluate(_ tensors: [Tensor]) throws { eval(tensors.map(\.array)) }

    public func floats(_ tensor: Tensor) throws -> [Float] {
        tensor.array.asType(.float32).asArray(Float.self)
    }
}
