// swift-tools-version: 6.0
import Foundation
import PackageDescription

let package = Package(
    name: "sam2-mlx",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [
        .library(name: "Sam2Core", targets: ["Sam2Core"]),
        .library(name: "Sam2Worker", targets: ["Sam2Worker"]),
        .library(name: "Sam2Native", targets: ["Sam2Native"]),
        .library(name: "Sam2Apple", targets: ["Sam2Apple"]),
        .library(name: "FollowerKit", targets: ["FollowerKit"]),
    ],
    targets: [
        .target(name: "Sam2Core", path: "swift/Sources/Sam2Core"),
        .target(name: "Sam2Worker", dependencies: ["Sam2Core"], path: "swift/Sources/Sam2Worker"),
        .target(
            name: "Sam2Native", dependencies: ["Sam2Core", "CDigest"],
            path: "swift/Sources/Sam2Native"),
        .target(name: "CDigest", path: "swift/Sources/CDigest"),
        .target(
            name: "Sam2Apple", dependencies: ["Sam2Core", "Sam2Native"],
            path: "swift/Sources/Sam2Apple"),
        .target(
            name: "FollowerKit", dependencies: ["Sam2Core"], path: "swift/Examples/FollowerKit"),
        .testTarget(
            name: "Sam2CoreTests", dependencies: ["Sam2Core"], path: "swift/Tests/Sam2CoreTests",
            exclude: ["Golden"]),
        .testTarget(
            name: "Sam2WorkerTests", dependencies: ["Sam2Worker"],
            path: "swift/Tests/Sam2WorkerTests"),
        .testTarget(
            name: "FollowerKitTests", dependencies: ["FollowerKit"],
            path: "swift/Tests/FollowerKitTests"),
    ],
    cxxLanguageStandard: .cxx20
)

var follower: [Target.Dependency] = ["FollowerKit", "Sam2Worker"]

// MLX_ROOT is where `pip install mlx` put MLX (the folder with include and lib), of the release that
// wrote the bundles. Without it there is no native engine, and nothing else is missing.
if let root = ProcessInfo.processInfo.environment["MLX_ROOT"] {
    package.products.append(.library(name: "Sam2MLXShim", targets: ["Sam2MLXShim"]))
    package.targets += [
        .target(
            name: "CMLXShim", path: "swift/Sources/CMLXShim",
            cxxSettings: [.unsafeFlags(["-I\(root)/include"])],
            linkerSettings: [
                .unsafeFlags([
                    "-L\(root)/lib", "-lmlx", "-Xlinker", "-rpath", "-Xlinker", "\(root)/lib",
                ])
            ]),
        .target(
            name: "Sam2MLXShim", dependencies: ["CMLXShim", "Sam2Native"],
            path: "swift/Sources/Sam2MLXShim"),
        .testTarget(
            name: "Sam2NativeTests", dependencies: ["Sam2MLXShim", "Sam2Worker"],
            path: "swift/Tests/Sam2NativeTests"),
    ]
    follower += ["Sam2MLXShim", "Sam2Native"]
}

package.targets.append(
    .executableTarget(name: "follower", dependencies: follower, path: "swift/Examples/follower"))
