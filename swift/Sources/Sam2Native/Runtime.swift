import Foundation

/// What runs a bundle's functions: MLX, in whatever way it is linked.
///
/// All calls are made on one thread, the engine's.
public protocol Runtime: Sendable {
    /// An array of the runtime.
    associatedtype Tensor: Sendable

    /// Opens the functions of a bundle, which has been looked at.
    init(functions: URL) throws

    /// MLX's version, such as `0.32.4`.
    static var version: String { get }

    /// `cpu` or `gpu`: what functions run on.
    static var device: String { get }

    /// An array of float32.
    func tensor(_ values: [Float], _ shape: [Int]) throws -> Tensor
    /// An array of int32.
    func tensor(_ values: [Int32], _ shape: [Int]) throws -> Tensor
    /// An array of uint8.
    func tensor(_ values: [UInt8], _ shape: [Int]) throws -> Tensor

    /// Joins tensors (1, ...) to (1, count, ...), with zeros at the end.
    ///
    /// - Parameter example: has the shape and the type where there are none.
    func padded(_ tensors: [Tensor], count: Int, example: Tensor) throws -> Tensor

    /// Calls the function whose arguments have these names.
    func call(_ arguments: [String: Tensor]) throws -> [Tensor]

    /// Computes tensors that are only described so far.
    func evaluate(_ tensors: [Tensor]) throws

    /// The values of a tensor, as floats.
    func floats(_ tensor: Tensor) throws -> [Float]
}

/// What can go wrong with a bundle. None of these ends the app.
public enum NativeError: Error, Equatable, Sendable {
    /// The bundle is missing, damaged, or for another machine; the message says what to do.
    case bundle(String)
    /// MLX could not do what was asked.
    case runtime(String)
    /// The session cannot do that now.
    case state(String)
    /// The prompt or the frame is none.
    case input(String)
}
