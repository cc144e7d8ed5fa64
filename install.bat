@echo off
rem Installs vrmatte into this folder: Python, all packages and a cache of network weights. Nothing
rem outside of it is changed, and no administrator is needed. Run again at any time.
setlocal EnableExtensions DisableDelayedExpansion
cd /d "%~dp0" || goto failed
set "UV_VERSION=0.13.8"
set "UV_WHEEL=https://files.pythonhosted.org/packages/6a/1d/d813afac1a7cbe3eeeca8709b47bdcd5e5189d08364b8d7a9f693082f0f1/uv-0.13.8-py3-none-win_amd64.whl"
set "UV_SHA256=cfbc13020a64cdf2f116d2936824c38edbf41e5c07f1ea291baf02e31ebf3ed0"
set "UV_PYTHON_INSTALL_DIR=%CD%\.uv\python"
set "UV_CACHE_DIR=%CD%\.uv\cache"
set "VRMATTE_CACHE_DIR=%CD%\.uv\weights"
if not defined UV_PYTHON_PREFERENCE set "UV_PYTHON_PREFERENCE=only-managed"
if not defined VRMATTE_PYTHON set "VRMATTE_PYTHON=3.13"
if not exist ".uv" mkdir ".uv" || goto failed
if exist ".uv\uv-%UV_VERSION%.exe" goto have_uv

echo Fetching uv %UV_VERSION% (16 MB) ...
curl.exe --fail --location --silent --show-error --output ".uv\uv.whl" "%UV_WHEEL%" || goto no_download
set "FOUND="
for /f "skip=1 delims=" %%H in ('certutil.exe -hashfile ".uv\uv.whl" SHA256') do if not defined FOUND set "FOUND=%%H"
set "FOUND=%FOUND: =%"
if /i not "%FOUND%"=="%UV_SHA256%" goto wrong_digest
tar.exe -xf ".uv\uv.whl" -C ".uv" "uv-%UV_VERSION%.data/scripts/uv.exe" || goto failed
move /y ".uv\uv-%UV_VERSION%.data\scripts\uv.exe" ".uv\uv-%UV_VERSION%.exe" >nul || goto failed
rmdir /s /q ".uv\uv-%UV_VERSION%.data"
del ".uv\uv.whl"

:have_uv
set "UV=.uv\uv-%UV_VERSION%.exe"
if exist ".venv\Scripts\python.exe" goto have_python
echo Fetching Python %VRMATTE_PYTHON% ...
"%UV%" venv --quiet --clear --seed --python "%VRMATTE_PYTHON%" .venv || goto failed

:have_python
set "EXTRA="
for /f "delims=" %%E in ('.venv\Scripts\python.exe scripts\choose_extra.py') do set "EXTRA=%%E"
if not defined EXTRA goto failed
set "BEFORE="
if exist ".uv\extra.txt" set /p BEFORE=<".uv\extra.txt"
if "%BEFORE%"=="%EXTRA%" goto packages
rem Builds of ONNX Runtime overwrite each other: only one may be installed.
"%UV%" pip uninstall --quiet --python .venv\Scripts\python.exe onnxruntime onnxruntime-gpu onnxruntime-directml onnxruntime-openvino 2>nul

:packages
echo Installing vrmatte for "%EXTRA%" ...
"%UV%" pip install --quiet --python .venv\Scripts\python.exe --editable ".[%EXTRA%]" || goto failed
>".uv\extra.txt" echo %EXTRA%
.venv\Scripts\python.exe -m vrmatte doctor --size 1920x960
echo.
echo Done. Drop a video on windows\matte.bat, or open windows\vrmatte.bat to type commands.
set "CODE=0"
goto end

:no_download
echo uv could not be fetched from files.pythonhosted.org: check the connection and run install.bat again.
set "CODE=1"
goto end

:wrong_digest
del ".uv\uv.whl"
echo The download of uv has another SHA-256 than expected (%FOUND%). Nothing was installed; run install.bat again.
set "CODE=1"
goto end

:failed
echo The installation failed; the message above says why. Run install.bat again after a repair.
set "CODE=1"

:end
if not defined VRMATTE_NO_PAUSE pause
exit /b %CODE%
