import CMLXShim
import Foundation
import Sam2Native

/// MLX as the `mlx` wheel brings it: libmlx, behind a few C functions.
public final class ShimRuntime: Runtime {
    /// An array of MLX.
    public final class Tensor: @unchecked Sendable {
        fileprivate let raw: mlx_shim_array

        fileprivate init(_ raw: mlx_shim_array?) throws {
            guard let raw else { throw failure() }
            self.raw = raw
        }

        deinit { mlx_shim_free(raw) }
    }

    private let functions: Functions

    private final class Functions: @unchecked Sendable {
        let raw: mlx_shim_functions

        init(_ raw: mlx_shim_functions) { self.raw = raw }

        deinit { mlx_shim_free_functions(raw) }
    }

    public static var version: String { String(cString: mlx_shim_version()) }

    public static var device: String { mlx_shim_runs_on_gpu() != 0 ? "gpu" : "cpu" }

    public init(functions file: URL) throws {
        guard let raw = mlx_shim_import(file.path) else { throw failure() }
        functions = Functions(raw)
    }

    public func tensor(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        try make(values, shape, MLX_SHIM_F32)
    }

    public func tensor(_ values: [Int32], _ shape: [Int]) throws -> Tensor {
        try make(values, shape, MLX_SHIM_I32)
    }

    public func tensor(_ values: [UInt8], _ shape: [Int]) throws -> Tensor {
        try make(values, shape, MLX_SHIM_U8)
    }

    private func make<Value: BitwiseCopyable>(_ values: [Value], _ shape: [Int], _ type: mlx_shim_type) throws -> Tensor {
        guard values.count == shape.reduce(1, *) else {
            throw NativeError.runtime("\(values.count) values for an array of \(shape)")
        }
        let sizes = shape.map(Int32.init)
        return try Tensor(mlx_shim_new(values, sizes, Int32(sizes.count), type))
    }

    public func padded(_ tensors: [Tensor], count: Int, example: Tensor) throws -> Tensor {
        let raw = tensors.map { Optional($0.raw) }
        return try Tensor(mlx_shim_padded(raw, Int32(raw.count), Int32(count), example.raw))
    }

    public func call(_ arguments: [String: Tensor]) throws -> [Tensor] {
        let pairs = Array(arguments)
        let names = pairs.map { strdup($0.key) }
        defer { names.forEach { free($0) } }
        let arrays = pairs.map { Optional($0.value.raw) }
        var out = [mlx_shim_array?](repeating: nil, count: 16)
        let count = names.map { UnsafePointer($0) }.withUnsafeBufferPointer {
            mlx_shim_call(
                functions.raw, $0.baseAddress, arrays, Int32(arrays.count), &out, Int32(out.count))
        }
        guard count >= 0 else { throw failure() }
        return try out.prefix(Int(count)).map { try Tensor($0) }
    }

    public func evaluate(_ tensors: [Tensor]) throws {
        let raw = tensors.map { Optional($0.raw) }
        guard mlx_shim_evaluate(raw, Int32(raw.count)) == 0 else { throw failure() }
    }

    public func floats(_ tensor: Tensor) throws -> [Float] {
        var values = [Float](repeating: 0, count: mlx_shim_size(tensor.raw))
        guard mlx_shim_floats(tensor.raw, &values) == 0 else { throw failure() }
        return values
    }
}

private func failure() -> NativeError { .runtime(String(cString: mlx_shim_error())) }
