using System.ComponentModel.DataAnnotations;
using Chatterbox.Engine;
using Chatterbox.Models;
using Microsoft.Extensions.Options;

namespace Chatterbox.Hosting;

/// <summary>The model and the engine of an application; can be bound to a section of its configuration.</summary>
public sealed class ChatterboxOptions
{
    /// <summary>One of <see cref="ModelLocator.Names"/>, which is downloaded if it is not in the Hugging Face cache, or a folder.</summary>
    [Required]
    public string Model { get; set; } = ModelLocator.Auto;

    /// <summary>As <see cref="ModelOptions.Device"/>.</summary>
    public string? Device { get; set; }

    /// <summary>As <see cref="ModelOptions.Precision"/>.</summary>
    public Precision? Precision { get; set; }

    /// <summary>Whether the model is warmed up once it is loaded, so that the first request takes no longer than the others.</summary>
    public bool WarmUp { get; set; } = true;

    /// <summary>Limits of the engine.</summary>
    public EngineOptions Engine { get; set; } = new();
}

/// <summary>Checks the options when the application starts.</summary>
internal sealed class ChatterboxOptionsValidation : IValidateOptions<ChatterboxOptions>
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, ChatterboxOptions options)
    {
        var faults = new List<ValidationResult>();
        Validator.TryValidateObject(options, new ValidationContext(options), faults, validateAllProperties: true);
        Validator.TryValidateObject(options.Engine, new ValidationContext(options.Engine), faults, validateAllProperties: true);
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults.Select(fault => fault.ErrorMessage!));
    }
}
